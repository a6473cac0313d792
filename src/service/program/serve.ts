import { once } from "node:events";
import { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import { formatAddress, type ListenAddress } from "../../shared/text/network_address.ts";
import type { TcpServer } from "../../shared/grpc_server/server.ts";
import { hardenProcess } from "../../shared/linux/process_hardening.ts";
import { usableAddress } from "../../shared/network/listen_address.ts";
import { systemClock as clock } from "../../shared/scheduler/system_clock.ts";
import { type HealthStatus, serveHealth } from "../../shared/telemetry/health_endpoint.ts";
import { Metrics } from "../../shared/telemetry/metrics.ts";
import { surviveUnhandledErrors } from "../../shared/telemetry/unhandled_errors.ts";
import { HealthService } from "../api/health_service.ts";
import { configurationWarnings, type ServiceConfig } from "./config.ts";
import { logger } from "./logger.ts";
import { serviceMetrics } from "./metrics.ts";
import type { RunningService } from "./compose.ts";
import { openParts } from "./open_parts.ts";
import { readiness } from "./readiness.ts";
import { serveClients } from "./serve_clients.ts";

/** Serves drivers and administrators until the signal is aborted. Rejects when the service cannot start. */
export async function serve(
  configured: ServiceConfig,
  version: string,
  signal: AbortSignal,
): Promise<void> {
  const metrics = new Metrics();
  using _survival = surviveUnhandledErrors(logger, metrics, clock);
  for (const problem of hardenProcess()) logger.warn("{problem}", { problem });
  const config = withUsableAddresses(configured);
  await using resources = new AsyncDisposableStack();
  const machine = { clock, environment: Deno.env.toObject() };
  const parts = await openParts(config, machine, resources);
  const health = new HealthService();
  const { server, attestation } = await serveClients(config, parts, { metrics, health }, resources);
  const warnings = configurationWarnings(config, parts.hasCluster);
  const ready = () => {
    const check = readiness(parts.open, { ...parts, warnings });
    return signal.aborted ? { ok: false, detail: `stopping\n${check.detail}` } : check;
  };
  const endpoint = serveHealthPages(config, { ...parts, server }, metrics, ready);
  if (endpoint) resources.use(endpoint);
  const addresses = {
    address: formatAddress({ ...config.listenAddress, port: server.port }),
    attestationAddress: attestation
      ? formatAddress({ ...config.attestationAddress, port: attestation.port })
      : "off",
    healthAddress: config.health && endpoint
      ? formatAddress({ ...config.health, port: endpoint.port })
      : "off",
  };
  const reportReadiness = readinessReporter({ config, version, addresses, health, ready, signal });
  const { currentCa, serving, denials } = parts.open;
  for (const source of [currentCa, serving]) resources.use(source.onChange(reportReadiness));
  denials.loaded.then(reportReadiness);
  reportReadiness();
  if (!signal.aborted) await once(signal, "abort");
  reportReadiness();
  logger.info("stopping: calls in progress may finish");
}

/** Throws when this machine cannot listen on one of the addresses. */
function withUsableAddresses(config: ServiceConfig): ServiceConfig {
  const { listenAddress, attestationAddress, authentication, health } = config;
  const usable = (address: ListenAddress) =>
    usableAddress(address, (message, properties) => logger.info(message, properties));
  return {
    ...config,
    listenAddress: usable(listenAddress),
    attestationAddress: authentication.kind === "kubernetes"
      ? usable(attestationAddress)
      : attestationAddress,
    health: health && usable(health),
  };
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
      caNotAfter: open.currentCa.material?.issuer.certificate.notAfter,
      shortened: open.signer.shortened,
    })),
  });
}

interface ReadinessReporterOptions {
  readonly config: ServiceConfig;
  readonly version: string;
  readonly addresses: Readonly<Record<"address" | "attestationAddress" | "healthAddress", string>>;
  readonly health: HealthService;
  readonly ready: () => HealthStatus;
  readonly signal: AbortSignal;
}

/** Returns a function that reports readiness to gRPC health, and logs each change of it. */
function readinessReporter(
  { config, version, addresses, health, ready, signal }: ReadinessReporterOptions,
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
