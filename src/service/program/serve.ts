import { status } from "@grpc/grpc-js";
import { once } from "node:events";
import { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { CompletedCall } from "../../shared/grpc_server/call.ts";
import { registerService, serveTcp } from "../../shared/grpc_server/server.ts";
import { hardenProcess } from "../../shared/linux/process_hardening.ts";
import { systemClock as clock } from "../../shared/scheduler/system_clock.ts";
import { createCallLog } from "../../shared/telemetry/call_log.ts";
import { observeEventLoopLag } from "../../shared/telemetry/event_loop_lag.ts";
import { type HealthStatus, serveHealth } from "../../shared/telemetry/health_endpoint.ts";
import { Metrics } from "../../shared/telemetry/metrics.ts";
import { surviveUnhandledErrors } from "../../shared/telemetry/unhandled_errors.ts";
import { certificateService } from "../api/certificate_service.ts";
import { HealthService } from "../api/health_service.ts";
import { mutualTlsIdentity } from "../api/tls_identity.ts";
import { configurationWarnings, type ServiceConfig } from "./config.ts";
import { logger } from "./logger.ts";
import { serviceMetrics } from "./metrics.ts";
import type { RunningService } from "./compose.ts";
import { authenticatorFor, openParts, type ServiceParts } from "./open_parts.ts";
import { readiness } from "./readiness.ts";
import { serveAdministration } from "./serve_administration.ts";

/** A driver's report of 100 certificates, the longest request there is. */
const largestMessageBytes = 512 * 1024;

/** Serves drivers and administrators until the signal is aborted; rejects when the service cannot start. */
export async function serve(
  config: ServiceConfig,
  version: string,
  signal: AbortSignal,
): Promise<void> {
  const metrics = new Metrics();
  using _survival = surviveUnhandledErrors(logger, metrics, clock);
  for (const problem of hardenProcess()) logger.warn("{problem}", { problem });
  await using resources = new AsyncDisposableStack();
  const parts = await openParts(config, resources);
  const health = new HealthService();
  const port = await serveCalls(config, parts, { metrics, health }, resources);
  const warnings = configurationWarnings(config, parts.cluster !== undefined);
  const ready = () => {
    const check = readiness(parts.open, { ...parts, warnings });
    return signal.aborted ? { ok: false, detail: `stopping\n${check.detail}` } : check;
  };
  const endpoint = serveHealthPages(config, parts.open, metrics, ready);
  if (endpoint) resources.use(endpoint);
  const addresses = {
    address: config.listenAddress.replace(/:[0-9]+$/, `:${port}`),
    healthAddress: endpoint ? `${config.health?.hostname}:${endpoint.port}` : "off",
  };
  const reportReadiness = readinessReporter({ config, version, addresses, health, ready, signal });
  const { authority, serving, denials } = parts.open;
  for (const source of [authority, serving]) resources.use(source.onChange(reportReadiness));
  denials?.loaded.then(reportReadiness);
  reportReadiness();
  if (!signal.aborted) await once(signal, "abort");
  reportReadiness();
  logger.info("stopping: calls in progress may finish");
}

/** Serves gRPC, to administrators too where they have a socket, and returns the TCP port. */
async function serveCalls(
  config: ServiceConfig,
  { open, clients, cluster }: ServiceParts,
  { metrics, health }: { metrics: Metrics; health: HealthService },
  resources: AsyncDisposableStack,
): Promise<number> {
  const lag = resources.use(observeEventLoopLag(metrics, clock));
  // The audit log has the refusals, so the call log has them at a lower level.
  const logCall = createCallLog(logger, metrics, "debug");
  const implementation = certificateService({
    ...open,
    authenticator: authenticatorFor(config, { cluster, clients }),
  });
  const onCall = (call: CompletedCall) => {
    logCall({ ...call, code: status[call.code] });
    lag.reportActivity();
  };
  if (config.adminSocket !== undefined) {
    resources.use(await serveAdministration(config.adminSocket, open, health, onCall));
  }
  const tls = clients ? mutualTlsIdentity(open.serving, clients) : open.serving;
  const server = resources.use(
    await serveTcp(config.listenAddress, {
      services: [registerService(CertificateService, implementation)],
      maxMessageBytes: largestMessageBytes,
      onCall,
      ...(config.tls ? { tls } : {}),
    }),
  );
  return server.port;
}

function serveHealthPages(
  config: ServiceConfig,
  open: RunningService,
  metrics: Metrics,
  ready: () => HealthStatus,
) {
  return config.health && serveHealth(config.health, {
    live: () => ({ ok: true, detail: "serving" }),
    ready,
    metrics: serviceMetrics(metrics, () => ({
      certificates: open.inventory.size,
      waiting: {
        lookup: open.queues.lookup.waiting,
        signature: open.queues.signature.waiting,
        report: open.queues.report.waiting,
      },
      caNotAfter: open.authority.material?.issuer.certificate.notAfter,
      shortened: open.signer.shortened,
    })),
  });
}

interface ReadinessReport {
  readonly config: ServiceConfig;
  readonly version: string;
  readonly addresses: { readonly address: string; readonly healthAddress: string };
  readonly health: HealthService;
  readonly ready: () => HealthStatus;
  readonly signal: AbortSignal;
}

/** Reports readiness to gRPC health, and to the log each time it has changed. */
function readinessReporter(
  { config, version, addresses, health, ready, signal }: ReadinessReport,
): () => void {
  let wasReady: boolean | undefined;
  return () => {
    const { ok, detail } = ready();
    for (const name of ["", CertificateService.typeName]) health.setStatus(name, ok);
    if (ok === wasReady || signal.aborted) return;
    wasReady = ok;
    if (!ok) return logger.warn("not ready on {address}: {detail}", { ...addresses, detail });
    const { tls, authentication: { kind: authentication }, ca: { kind: ca } } = config;
    const adminSocket = config.adminSocket ?? "off";
    const properties = { event: "ready", ...addresses, adminSocket, tls, authentication, ca };
    logger.info("ready on {address}", { ...properties, version });
  };
}
