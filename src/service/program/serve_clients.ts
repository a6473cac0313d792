import { status } from "@grpc/grpc-js";
import { CertificatePeers, CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { CompletedCall } from "../../shared/grpc_server/call.ts";
import {
  type RegisteredService,
  registerService,
  serveTcp,
  type TcpServer,
} from "../../shared/grpc_server/server.ts";
import { createCallLog } from "../../shared/telemetry/call_log.ts";
import { observeEventLoopLag } from "../../shared/telemetry/event_loop_lag.ts";
import type { Counter, Metrics } from "../../shared/telemetry/metrics.ts";
import { certificateService } from "../api/certificate_service.ts";
import type { HealthService } from "../api/health_service.ts";
import { peerService } from "../api/peer_service.ts";
import { mutualTlsIdentity } from "../api/tls_identity.ts";
import type { ServiceConfig } from "./config.ts";
import { logger } from "./logger.ts";
import { clientCounters } from "./metrics.ts";
import { serveAttestation } from "./node_access.ts";
import type { ServiceParts } from "./open_parts.ts";
import { openReplicas } from "./replicas.ts";
import { serveAdministration } from "./serve_administration.ts";

/** The longest request of each method, in bytes. */
const maxMessageBytes = {
  issueCertificate: 32 * 1024,
  renewCertificate: 32 * 1024,
  // A hundred certificates, or fewer that have many names.
  reportCertificates: 256 * 1024,
  watchTrustBundle: 4 * 1024,
};
const maxPeerMessageBytes = {
  findCertificate: 1024,
  listOwnCertificates: 4 * 1024,
  listOwnNodes: 1024,
};

/**
 * Serves drivers, and administrators where ADMIN_SOCKET is set, until the stack is disposed. Returns the
 * listeners for drivers; there is no attestation endpoint where nodes do not attest.
 */
export async function serveClients(
  config: ServiceConfig,
  parts: ServiceParts,
  { metrics, health }: { readonly metrics: Metrics; readonly health: HealthService },
  resources: AsyncDisposableStack,
) {
  const counters = clientCounters(metrics);
  const lag = resources.use(observeEventLoopLag(metrics, parts.open.clock));
  // Rejected calls are in the audit log, so that the call log writes them at debug level.
  const logCall = createCallLog(logger, metrics, "debug");
  const onCall = (call: CompletedCall) => {
    logCall({ ...call, code: status[call.code] });
    lag.reportActivity();
  };
  const { replicas, answering } = openReplicas(config, parts);
  if (config.adminSocket !== undefined) {
    const administration = { ...parts.open, replicas };
    resources.use(await serveAdministration(config.adminSocket, administration, health, onCall));
  }
  const { refusedConnections, attestations } = counters;
  const services = networkServices(parts, answering);
  const server = resources.use(
    await serveNetwork(config, parts, services, { onCall, refusedConnections }),
  );
  const attestation = parts.attestation &&
    resources.use(serveAttestation(config, parts.open, parts.attestation, attestations));
  return { server, attestation };
}

/** What drivers call, and where replicas can identify themselves, what they call. */
function networkServices(
  { open, nodes: { authenticator } }: ServiceParts,
  answering: ReturnType<typeof openReplicas>["answering"],
): RegisteredService[] {
  const forDrivers = certificateService({ ...open, authenticator });
  const services = [registerService(CertificateService, forDrivers, maxMessageBytes)];
  if (answering === undefined) return services;
  const forPeers = peerService({ ...answering, authenticator });
  return [...services, registerService(CertificatePeers, forPeers, maxPeerMessageBytes)];
}

function serveNetwork(
  config: ServiceConfig,
  { open, nodes: { clientCas, verifier } }: ServiceParts,
  services: RegisteredService[],
  { onCall, refusedConnections }: {
    readonly onCall: (call: CompletedCall) => void;
    readonly refusedConnections: Counter;
  },
): Promise<TcpServer> {
  const tls = clientCas ? mutualTlsIdentity(open.serving, clientCas) : open.serving;
  return serveTcp(config.listenAddress, {
    services,
    onCall,
    clock: open.clock,
    tls: config.tls ? tls : undefined,
    peers: verifier,
    onRefusal: (reason) => refusedConnections.add(1, { reason }),
  });
}
