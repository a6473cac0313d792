import { hardenProcess } from "../../shared/linux/process_hardening.ts";
import { usableAddress } from "../../shared/network/listen_address.ts";
import { pause, waitUntilAborted } from "../../shared/scheduler/abort_signals.ts";
import { systemClock } from "../../shared/scheduler/system_clock.ts";
import { type HealthStatus, serveHealth } from "../../shared/telemetry/health_endpoint.ts";
import { Metrics } from "../../shared/telemetry/metrics.ts";
import { surviveUnhandledErrors } from "../../shared/telemetry/unhandled_errors.ts";
import { formatAddress } from "../../shared/text/network_address.ts";
import { acquireBasePathLock } from "../records/base_path_lock.ts";
import { watchTrustBundle } from "../service_client/trust_bundle_watch.ts";
import { readMountedCertificates } from "../volume/mounted_certificates.ts";
import type { DriverConfig } from "./config.ts";
import { type DriverParts, logger, openParts, type WrapPorts } from "./open_parts.ts";
import { requireSocketDirectories, type ServedSockets, serveSockets } from "./serve_sockets.ts";

/** Renewals that failed while the service was away are tried again spread over this time. */
const retrySpreadMs = 10_000;

/** How the program is run: the version that it reports, and what tests put around its ports. */
export interface ServeOptions {
  readonly version: string;
  readonly wrapPorts: WrapPorts;
}

/** Serves the kubelet until the signal is aborted; rejects when the driver cannot start. */
export async function serve(
  config: DriverConfig,
  { version, wrapPorts }: ServeOptions,
  signal: AbortSignal,
): Promise<void> {
  requireSocketDirectories(config);
  const metrics = new Metrics();
  using _survival = surviveUnhandledErrors(logger, metrics, systemClock);
  for (const problem of hardenProcess()) logger.warn("{problem}", { problem });
  const health = { ready: false, live: alwaysLive, detail: () => "starting", metrics: () => "" };
  const healthAddress = config.health && usableAddress(
    config.health,
    (message, properties) => logger.info(message, properties),
  );
  await using endpoint = healthAddress && serveHealth(healthAddress, {
    live: () => signal.aborted ? alwaysLive() : health.live(),
    ready: () => ({ ok: health.ready, detail: health.detail() }),
    metrics: () => health.metrics(),
  });
  const onWaiting = (problem: string) => {
    health.detail = () => problem;
    logger.warn("waiting: {problem}", { problem });
  };
  using lock = await acquireBasePathLock(config.certBasePath, { wait, onWaiting }, signal);
  if (lock === undefined) return;
  await using resources = new AsyncDisposableStack();
  const parts = await openParts(
    config,
    { stagingDir: lock.stagingDir, wrapPorts, metrics, version },
    resources,
  );
  health.detail = () => describeState(parts, undefined);
  health.metrics = parts.exposeMetrics;
  await restoreVolumes(parts);
  const sockets = await serveSockets(config, { version, metrics }, parts, resources);
  health.live = sockets.live;
  health.detail = () => describeState(parts, sockets);
  const watching = watchService(parts, signal);
  await Promise.race([parts.service.attested, waitUntilAborted(signal)]);
  health.ready = true;
  parts.onActivity();
  logger.info("ready on {address}", {
    event: "ready",
    address: config.socketPath,
    healthAddress: healthAddress && endpoint
      ? formatAddress({ ...healthAddress, port: endpoint.port })
      : "off",
    mounts: parts.mounter.kind,
    version,
  });
  await waitUntilAborted(signal);
  health.ready = false;
  logger.info("stopping: calls in progress may finish");
  await watching;
}

const alwaysLive = (): HealthStatus => ({ ok: true, detail: "serving" });

/** The lines of /readyz: a driver without the service is ready, because it serves what is mounted. */
function describeState(
  { table, renewer, service, swapProblem, clockProblem }: DriverParts,
  sockets: ServedSockets | undefined,
): string {
  const identityProblem = service.identity?.problem;
  const lines = [
    `${table.size} volumes, ${renewer.failing} whose renewal fails at present`,
    identityProblem && `no new client certificate: ${identityProblem}`,
    sockets?.registrationProblem(),
    swapProblem(),
    clockProblem(),
  ];
  return lines.filter((line) => line !== undefined).join("\n");
}

async function restoreVolumes({ reconciler }: DriverParts): Promise<void> {
  const restored = await reconciler.restore();
  logger.info("restored {healthy} volumes, {repaired} to repair, {removed} removed", {
    healthy: restored.healthy,
    repaired: restored.repaired,
    removed: restored.removed,
    unreadable: restored.unreadable.length,
  });
}

/** Follows the service's trust bundle; with each connection, and regularly, reports which volumes this node has. */
async function watchService(
  { service: { client, identity }, reporter, renewer, table, mounter, trust, clockSkewMs }:
    DriverParts,
  signal: AbortSignal,
): Promise<void> {
  const source = {
    volumes: () => table.all(),
    readMounted: (volumeIds: ReadonlySet<string>) =>
      readMountedCertificates(
        table.all().filter(({ volumeId }) => volumeIds.has(volumeId)),
        mounter,
      ),
    clockSkewMs,
  };
  const handler = {
    onConnected: (connection: AbortSignal) => {
      renewer.retryFailed(retrySpreadMs);
      return reporter.run(source, connection);
    },
    onBundle: (certificates: readonly Uint8Array[]) => trust.update(certificates),
    onDisconnected: () => trust.disconnected(),
  };
  await watchTrustBundle(client, handler, { wait, random: Math.random, identity }, signal);
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return pause(systemClock, ms, signal);
}
