import { status } from "@grpc/grpc-js";
import { once } from "node:events";
import { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { CompletedCall } from "../../shared/grpc_server/call.ts";
import { formatAddress } from "../../shared/config/value_parsers.ts";
import { registerService, serveTcp, type TcpServer } from "../../shared/grpc_server/server.ts";
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
import { serveAttestation } from "./node_access.ts";
import { openParts, type ServiceParts } from "./open_parts.ts";
import { readiness } from "./readiness.ts";
import { serveAdministration } from "./serve_administration.ts";

/** The longest request of each method, in bytes. */
const maxMessageBytes = {
  issueCertificate: 32 * 1024,
  renewCertificate: 32 * 1024,
  // A hundred certificates, or fewer that have many names.
  reportCertificates: 256 * 1024,
  watchTrustBundle: 4 * 1024,
};

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
  const server = await serveCalls(config, parts, { metrics, health }, resources);
  const attestation = parts.attestation &&
    resources.use(serveAttestation(config, { ...parts, ...parts.attestation }, metrics));
  const warnings = configurationWarnings(config, parts.hasCluster);
  const ready = () => {
    const check = readiness(parts.open, { ...parts, warnings });
    return signal.aborted ? { ok: false, detail: `stopping\n${check.detail}` } : check;
  };
  const endpoint = serveHealthPages(config, { ...parts, server }, metrics, ready);
  if (endpoint) resources.use(endpoint);
  const addresses = {
    address: config.listenAddress.replace(/:[0-9]+$/, `:${server.port}`),
    attestationAddress: attestation
      ? formatAddress({ ...config.attestationAddress, port: attestation.port })
      : "off",
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

/** Serves gRPC: to drivers on the TCP port, and to administrators where they have a socket. */
async function serveCalls(
  config: ServiceConfig,
  { open, nodes: { authenticator, clientCas, verifier } }: ServiceParts,
  { metrics, health }: { metrics: Metrics; health: HealthService },
  resources: AsyncDisposableStack,
): Promise<TcpServer> {
  const lag = resources.use(observeEventLoopLag(metrics, clock));
  // The audit log has the refusals, so the call log has them at a lower level.
  const logCall = createCallLog(logger, metrics, "debug");
  const implementation = certificateService({ ...open, authenticator });
  const refused = metrics.counter(
    "csi_cert_refused_connections_total",
    "Connections to the gRPC port that were not accepted or were closed, by reason.",
  );
  const onCall = (call: CompletedCall) => {
    logCall({ ...call, code: status[call.code] });
    lag.reportActivity();
  };
  if (config.adminSocket !== undefined) {
    resources.use(await serveAdministration(config.adminSocket, open, health, onCall));
  }
  const tls = clientCas ? mutualTlsIdentity(open.serving, clientCas) : open.serving;
  return resources.use(
    await serveTcp(config.listenAddress, {
      services: [registerService(CertificateService, implementation, maxMessageBytes)],
      onCall,
      clock,
      tls: config.tls ? tls : undefined,
      peers: verifier,
      onRefusal: (reason) => refused.add(1, { reason }),
    }),
  );
}

function serveHealthPages(
  config: ServiceConfig,
  { open, server }: { open: RunningService; server: TcpServer },
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
      connections: { ...server.connections },
      caNotAfter: open.authority.material?.issuer.certificate.notAfter,
      shortened: open.signer.shortened,
    })),
  });
}

interface ReadinessReport {
  readonly config: ServiceConfig;
  readonly version: string;
  readonly addresses: Readonly<Record<"address" | "attestationAddress" | "healthAddress", string>>;
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
