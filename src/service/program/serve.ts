import { status } from "@grpc/grpc-js";
import { once } from "node:events";
import manifest from "../../../deno.json" with { type: "json" };
import { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import { registerService, serveTcp } from "../../shared/grpc_server/server.ts";
import { hardenProcess } from "../../shared/linux/process_hardening.ts";
import { systemClock as clock } from "../../shared/scheduler/system_clock.ts";
import { createCallLog } from "../../shared/telemetry/call_log.ts";
import { observeEventLoopLag } from "../../shared/telemetry/event_loop_lag.ts";
import { serveHealth } from "../../shared/telemetry/health_endpoint.ts";
import { Metrics } from "../../shared/telemetry/metrics.ts";
import { certificateService } from "../api/certificate_service.ts";
import { HealthService } from "../api/health_service.ts";
import { reflectionService } from "../api/reflection_service.ts";
import { mutualTlsIdentity } from "../api/tls_identity.ts";
import { configurationWarnings, type ServiceConfig } from "./config.ts";
import { logger } from "./logger.ts";
import { serviceMetrics } from "./metrics.ts";
import { authenticatorFor, openParts } from "./open_parts.ts";
import { readiness } from "./readiness.ts";

/** A driver's report of 100 certificates, the longest request there is. */
const largestMessageBytes = 512 * 1024;
export async function serve(config: ServiceConfig, signal: AbortSignal): Promise<void> {
  for (const problem of hardenProcess()) logger.warn("{problem}", { problem });
  await using resources = new AsyncDisposableStack();
  const { open, policy, clients, cluster } = await openParts(config, resources);
  const metrics = new Metrics();
  const lag = resources.use(observeEventLoopLag(metrics, clock));
  // Refusals are told by the audit log.
  const logCall = createCallLog(logger, metrics, "debug");
  const health = new HealthService();
  const implementation = certificateService({
    ...open,
    authenticator: authenticatorFor(config, cluster),
    ...(cluster ? { operators: cluster.operators } : {}),
  });
  const services = [registerService(CertificateService, implementation), health.registered()];
  const tls = clients ? mutualTlsIdentity(open.serving, clients) : open.serving;
  const server = resources.use(
    await serveTcp(config.listenAddress, {
      services: [...services, reflectionService(services)],
      maxMessageBytes: largestMessageBytes,
      onCall: (call) => {
        logCall({ ...call, code: status[call.code] });
        lag.reportActivity();
      },
      ...(config.tls ? { tls } : {}),
    }),
  );
  const known = { policy, clients, warnings: configurationWarnings(config, cluster !== undefined) };
  const ready = () => {
    const check = readiness(open, known);
    return signal.aborted ? { ok: false, detail: `stopping\n${check.detail}` } : check;
  };
  const endpoint = config.health && serveHealth(config.health, {
    ...{ ready, live: () => ({ ok: true, detail: "serving" }) },
    metrics: serviceMetrics(metrics, () => ({
      certificates: open.inventory.size,
      waiting: open.queue.waiting,
      caNotAfter: open.authority.material?.issuer.certificate.notAfter,
      shortened: open.signer.shortened,
    })),
  });
  if (endpoint) resources.use(endpoint);
  const where = {
    address: config.listenAddress.replace(/:[0-9]+$/, `:${server.port}`),
    healthAddress: endpoint ? `${config.health?.hostname}:${endpoint.port}` : "off",
  };
  let wasReady: boolean | undefined;
  const tell = () => {
    const { ok, detail } = ready();
    for (const name of ["", CertificateService.typeName]) health.setStatus(name, ok);
    if (ok === wasReady || signal.aborted) return;
    wasReady = ok;
    if (!ok) return logger.warn("not ready on {address}: {detail}", { ...where, detail });
    const { tls, authentication: { kind: authentication }, ca: { kind: ca } } = config;
    const { version } = manifest;
    const told = { event: "ready", ...where, tls, authentication, ca, version };
    logger.info("ready on {address}", told);
  };
  for (const source of [open.authority, open.serving]) resources.use(source.onChange(tell));
  open.denials?.loaded.then(tell);
  tell();
  if (!signal.aborted) await once(signal, "abort");
  tell();
  logger.info("stopping: calls in progress may finish");
}
