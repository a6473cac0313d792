import { status } from "@grpc/grpc-js";
import { getLogger } from "@logtape/logtape";
import manifest from "../../../deno.json" with { type: "json" };
import { Identity, Node } from "../../shared/gen/csi_pb.ts";
import { Registration } from "../../shared/gen/plugin_registration_pb.ts";
import type { CompletedCall } from "../../shared/grpc_server/call.ts";
import { registerService, serveUnix } from "../../shared/grpc_server/server.ts";
import { openMemoryTrimmer } from "../../shared/linux/memory_trim.ts";
import { hardenProcess } from "../../shared/linux/process_hardening.ts";
import { waitUntilAborted } from "../../shared/scheduler/abort_signals.ts";
import { CoalescingTimer } from "../../shared/scheduler/coalescing_timer.ts";
import { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { systemClock, wait } from "../../shared/scheduler/system_clock.ts";
import { createCallLog } from "../../shared/telemetry/call_log.ts";
import { observeEventLoopLag } from "../../shared/telemetry/event_loop_lag.ts";
import { serveHealth } from "../../shared/telemetry/health_endpoint.ts";
import { Metrics } from "../../shared/telemetry/metrics.ts";
import { driverName } from "../../shared/text/product_names.ts";
import { CertificateRequester } from "../certificates/certificate_requester.ts";
import type { IssuanceClient } from "../certificates/issuance_client.ts";
import { KeyGenerator } from "../certificates/key_generator.ts";
import { identityService } from "../csi/identity_service.ts";
import { nodeService } from "../csi/node_service.ts";
import { registrationService } from "../csi/registration_service.ts";
import { kubeletVolumeData } from "../mount/kubelet_volume_data.ts";
import { selectMounter } from "../mount/mounter_selection.ts";
import { acquireBasePathLock } from "../records/base_path_lock.ts";
import { openRecordStore } from "../records/record_store.ts";
import { reportCertificates } from "../service_client/certificate_report.ts";
import { connectService } from "../service_client/connection.ts";
import { GrpcIssuanceClient } from "../service_client/issuance_client.ts";
import { watchTrustBundle } from "../service_client/trust_bundle_watch.ts";
import { readMountedCertificates } from "../volume/mounted_certificates.ts";
import type { Mounter } from "../volume/mounter.ts";
import { Publisher } from "../volume/publisher.ts";
import { Reconciler } from "../volume/reconciler.ts";
import { Renewer } from "../volume/renewer.ts";
import { TrustBundleUpdater } from "../volume/trust_bundle_updater.ts";
import type { VolumeStore } from "../volume/volume_record.ts";
import { VolumeTable } from "../volume/volume_table.ts";
import type { DriverConfig } from "./config.ts";
import { volumeMetrics } from "./metrics.ts";

export const program = "csi-driver";
export const logger = getLogger([program]);
/** A service that comes back is not asked for everything that waited for it at one instant. */
const retrySpreadMs = 10_000;
/** By then a burst of calls has mostly ended; releasing costs a millisecond. */
const releaseMemoryAfterMs = 1_000;

/** What the driver reaches the world by. */
export interface DriverPorts {
  readonly mounter: Mounter & Disposable;
  readonly store: VolumeStore;
  readonly issuer: IssuanceClient;
}

export async function serve(
  config: DriverConfig,
  around: (edges: DriverPorts) => DriverPorts,
  signal: AbortSignal,
): Promise<void> {
  const clock = systemClock;
  for (const problem of hardenProcess()) logger.warn("{problem}", { problem });
  const shown = { ready: false, detail: () => "starting", metrics: () => "" };
  await using health = config.health && serveHealth(config.health, {
    live: () => ({ ok: true, detail: "serving" }),
    ready: () => ({ ok: shown.ready, detail: shown.detail() }),
    metrics: () => shown.metrics(),
  });
  const onWaiting = (problem: string) => {
    shown.detail = () => problem;
    logger.warn("waiting: {problem}", { problem });
  };
  using lock = await acquireBasePathLock(config.certBasePath, { wait, onWaiting }, signal);
  if (lock === undefined) return;
  await using resources = new AsyncDisposableStack();
  const created = resources.use(
    await selectMounter({
      stagingDir: lock.stagingDir,
      allowKeysOnDisk: config.allowKeysOnDisk,
      onWarning: (message) => logger.warn("{message}", { message }),
    }),
  );
  const client = resources.use(connectService(config.certService));
  const scheduler = resources.use(
    new Scheduler({
      clock,
      onError: (key, error, next) =>
        logger.error("the job of {key} failed", { key, error, nextAttempt: next }),
    }),
  );
  const keys = resources.use(new KeyGenerator(clock));
  const table = new VolumeTable();
  const records = openRecordStore(config.certBasePath);
  const { mounter, store, issuer } = around({
    mounter: created,
    store: records,
    issuer: new GrpcIssuanceClient(client),
  });
  const source = new CertificateRequester(issuer, keys, clock);
  const parts = {
    clock,
    scheduler,
    table,
    mounter,
    store,
    source,
    keys,
    kubelet: kubeletVolumeData,
  };
  const metrics = new Metrics();
  const lag = resources.use(observeEventLoopLag(metrics, clock));
  const volumes = volumeMetrics(metrics, () => ({
    volumes: table.size,
    failing: renewer.failing,
    earliestExpiry: table.earliestExpiry,
  }));
  const onRenewal: typeof volumes.renewal = (outcome) => {
    volumes.renewal(outcome);
    lag.reportActivity();
  };
  const renewer: Renewer = new Renewer({ ...parts, random: Math.random, onRenewal });
  const publisher = new Publisher({ ...parts, renewer });

  shown.detail = () => `${table.size} volumes, ${renewer.failing} whose renewal fails at present`;
  shown.metrics = volumes.expose;

  const freed = resources.use(openMemoryTrimmer());
  const tidying = resources.use(new CoalescingTimer(clock, releaseMemoryAfterMs, freed.trim));
  const logCall = createCallLog(logger, metrics, "warning");
  const onCall = (call: CompletedCall) => {
    logCall({ ...call, code: status[call.code] });
    tidying.schedule();
    lag.reportActivity();
  };
  const { checkInterval, nodeId, registration } = config;
  const onUntrusted = renewer.renewSoon.bind(renewer);
  const trust = resources.use(new TrustBundleUpdater({ ...parts, checkInterval, onUntrusted }));
  const leftovers = {
    mounted: () => created.mounted(),
    removeUnreadable: records.removeUnreadable.bind(records),
  };
  const restorer = resources.use(new Reconciler({ ...parts, renewer, leftovers, checkInterval }));
  const restored = await restorer.restore();
  logger.info("restored {healthy} volumes, {repaired} to repair, {removed} removed", {
    healthy: restored.healthy,
    repaired: restored.repaired,
    removed: restored.removed,
    unreadable: restored.unreadable.length,
  });
  const { version } = manifest;
  resources.use(
    await serveUnix(config.socketPath, {
      services: [
        registerService(
          Identity,
          identityService({ name: driverName, version, ready: () => true }),
        ),
        registerService(Node, nodeService({ nodeId, publisher })),
      ],
      onCall,
    }),
  );
  // Last: the kubelet calls as soon as it finds this socket.
  if (registration) {
    const endpoint = registration.kubeletSocketPath;
    resources.use(
      await serveUnix(`${registration.directory}/${driverName}-reg.sock`, {
        services: [
          registerService(Registration, registrationService({ name: driverName, endpoint })),
        ],
        onCall,
      }),
    );
  }
  const watching = watchTrustBundle(
    client,
    {
      onConnected: async () => {
        renewer.retryFailed(retrySpreadMs);
        const held = await readMountedCertificates(table, mounter);
        await reportCertificates(
          client,
          held.map(({ leaf, record }) => ({ ...record, certificate: leaf.der })),
          signal,
        );
      },
      onBundle: async (certificates) => void await trust.update(certificates),
      onDisconnected: () => trust.disconnected(),
    },
    { wait, random: Math.random },
    signal,
  );
  shown.ready = true;
  tidying.schedule();
  logger.info("ready on {address}", {
    event: "ready",
    address: config.socketPath,
    healthAddress: health ? `${config.health?.hostname}:${health.port}` : "off",
    mounts: mounter.kind,
    version,
  });
  await waitUntilAborted(signal);
  shown.ready = false;
  logger.info("stopping: calls in progress may finish");
  await watching;
}
