import { status } from "@grpc/grpc-js";
import { Identity, Node } from "../../shared/gen/csi_pb.ts";
import { Registration } from "../../shared/gen/plugin_registration_pb.ts";
import type { CompletedCall } from "../../shared/grpc_server/call.ts";
import { registerService, serveUnix } from "../../shared/grpc_server/server.ts";
import { requireSocketDirectory } from "../../shared/grpc_server/unix_socket.ts";
import { systemClock } from "../../shared/scheduler/system_clock.ts";
import { createCallLog } from "../../shared/telemetry/call_log.ts";
import type { HealthStatus } from "../../shared/telemetry/health_endpoint.ts";
import type { Metrics } from "../../shared/telemetry/metrics.ts";
import { driverName } from "../../shared/text/product_names.ts";
import { identityService } from "../csi/identity_service.ts";
import { KubeletRegistration } from "../csi/kubelet_registration.ts";
import { nodeService } from "../csi/node_service.ts";
import { registrationService } from "../csi/registration_service.ts";
import type { DriverConfig } from "./config.ts";
import { type DriverParts, logger } from "./open_parts.ts";

/** What is known of the sockets that the kubelet calls. */
export interface ServedSockets {
  /** Not ok when another process removed or replaced a socket: a program that starts again serves it again. */
  live(): HealthStatus;
  /** Why the kubelet does not call; undefined while nothing is known to be wrong. */
  registrationProblem(): string | undefined;
}

/** Throws for a directory of the kubelet's that does not exist, before anything else is done. */
export function requireSocketDirectories(
  { socketPath, registration }: Pick<DriverConfig, "socketPath" | "registration">,
): void {
  requireSocketDirectory(socketPath, "CSI_ENDPOINT");
  if (registration) requireSocketDirectory(registrationPath(registration), "REGISTRATION_DIR");
}

function registrationPath({ directory }: NonNullable<DriverConfig["registration"]>): string {
  return `${directory}/${driverName}-reg.sock`;
}

/** Serves CSI, and then the registration socket: the kubelet calls as soon as it finds that one. */
export async function serveSockets(
  { nodeId, registration, socketPath }: Pick<
    DriverConfig,
    "nodeId" | "registration" | "socketPath"
  >,
  { version, metrics }: { readonly version: string; readonly metrics: Metrics },
  { publisher, onActivity }: Pick<DriverParts, "publisher" | "onActivity">,
  resources: AsyncDisposableStack,
): Promise<ServedSockets> {
  const logCall = createCallLog(logger, metrics, "warning");
  const onCall = (call: CompletedCall) => {
    logCall({ ...call, code: status[call.code] });
    onActivity();
  };
  const identity = identityService({ name: driverName, version });
  const node = nodeService({ nodeId, publisher });
  const services = [registerService(Identity, identity), registerService(Node, node)];
  const servers = [resources.use(await serveUnix(socketPath, { services, onCall }))];
  const live = () => {
    const lost = servers.filter((server) => !server.isPublished()).map(({ path }) => path);
    if (lost.length === 0) return { ok: true, detail: "serving" };
    const detail = `another process removed or replaced ${lost.join(" and ")}: restart the driver`;
    return { ok: false, detail };
  };
  if (!registration) return { live, registrationProblem: () => undefined };
  const { directory, kubeletSocketPath: endpoint } = registration;
  const state = resources.use(new KubeletRegistration(systemClock, directory));
  state.expect();
  const registering = registrationService(
    { name: driverName, endpoint },
    (refusal) => state.report(refusal),
  );
  servers.push(resources.use(
    await serveUnix(registrationPath(registration), {
      services: [registerService(Registration, registering)],
      onCall,
    }),
  ));
  return { live, registrationProblem: () => state.problem };
}
