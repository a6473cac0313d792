import { status } from "@grpc/grpc-js";
import { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { CompletedCall } from "../../shared/grpc_server/call.ts";
import { registerService, serveTcp, type TcpServer } from "../../shared/grpc_server/server.ts";
import { createCallLog } from "../../shared/telemetry/call_log.ts";
import { observeEventLoopLag } from "../../shared/telemetry/event_loop_lag.ts";
import type { Counter, Metrics } from "../../shared/telemetry/metrics.ts";
import { certificateService } from "../api/certificate_service.ts";
import type { HealthService } from "../api/health_service.ts";
import { mutualTlsIdentity } from "../api/tls_identity.ts";
import type { ServiceConfig } from "./config.ts";
import { logger } from "./logger.ts";
import { clientCounters } from "./metrics.ts";
import { serveAttestation } from "./node_access.ts";
import type { ServiceParts } from "./open_parts.ts";
import { serveAdministration } from "./serve_administration.ts";

/** The longest request of each method, in bytes. */
const maxMessageBytes = {
  issueCertificate: 32 * 1024,
  renewCertificate: 32 * 1024,
  // A hundred certificates, or fewer that have many names.
  reportCertificates: 256 * 1024,
  watchTrustBundle: 4 * 1024,
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
  if (config.adminSocket !== undefined) {
    resources.use(await serveAdministration(config.adminSocket, parts.open, health, onCall));
  }
  const { refusedConnections, attestations } = counters;
  const server = resources.use(await serveDrivers(config, parts, onCall, refusedConnections));
  const attestation = parts.attestation &&
    resources.use(serveAttestation(config, parts.open, parts.attestation, attestations));
  return { server, attestation };
}

function serveDrivers(
  config: ServiceConfig,
  { open, nodes: { authenticator, clientCas, verifier } }: ServiceParts,
  onCall: (call: CompletedCall) => void,
  refusedConnections: Counter,
): Promise<TcpServer> {
  const implementation = certificateService({ ...open, authenticator });
  const tls = clientCas ? mutualTlsIdentity(open.serving, clientCas) : open.serving;
  return serveTcp(config.listenAddress, {
    services: [registerService(CertificateService, implementation, maxMessageBytes)],
    onCall,
    clock: open.clock,
    tls: config.tls ? tls : undefined,
    peers: verifier,
    onRefusal: (reason) => refusedConnections.add(1, { reason }),
  });
}
