import { getLogger } from "@logtape/logtape";
import { CoalescingTimer } from "../../shared/scheduler/coalescing_timer.ts";
import { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { systemClock as clock } from "../../shared/scheduler/system_clock.ts";
import { openMemoryTrimmer } from "../../shared/linux/memory_trim.ts";
import { observeEventLoopLag } from "../../shared/telemetry/event_loop_lag.ts";
import type { Metrics } from "../../shared/telemetry/metrics.ts";
import { CertificateRequester } from "../certificates/certificate_requester.ts";
import type { IssuanceClient } from "../certificates/issuance_client.ts";
import { KeyGenerator } from "../certificates/key_generator.ts";
import { kubeletVolumeData } from "../mount/kubelet_volume_data.ts";
import { selectMounter } from "../mount/mounter_selection.ts";
import { openRecordStore } from "../records/record_store.ts";
import { connectService } from "../service_client/connection.ts";
import { GrpcIssuanceClient } from "../service_client/issuance_client.ts";
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
/** By then a burst of calls has mostly ended; releasing memory costs a millisecond. */
const trimMemoryAfterMs = 1_000;

/** The driver's ports to the mounts, the disk and the certificate service. */
export interface DriverPorts {
  readonly mounter: Mounter & Disposable;
  readonly store: VolumeStore;
  readonly issuer: IssuanceClient;
}

/** Tests put faults between the driver and its ports with one of these. */
export type WrapPorts = (ports: DriverPorts) => DriverPorts;

export type DriverParts = Awaited<ReturnType<typeof openParts>>;

export interface OpenOptions {
  readonly stagingDir: string;
  readonly wrapPorts: WrapPorts;
  readonly metrics: Metrics;
}

/** Creates everything below the sockets, for as long as `resources` lives; the caller holds the lock. */
export async function openParts(
  config: DriverConfig,
  { stagingDir, wrapPorts, metrics }: OpenOptions,
  resources: AsyncDisposableStack,
) {
  const created = resources.use(
    await selectMounter({
      stagingDir,
      allowKeysOnDisk: config.allowKeysOnDisk,
      onWarning: (message) => logger.warn("{message}", { message }),
    }),
  );
  const service = resources.use(
    connectService(config.certService, { clock, random: Math.random }),
  );
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
  const issuer = new GrpcIssuanceClient(service.client);
  const ports = wrapPorts({ mounter: created, store: records, issuer });
  const { mounter, store } = ports;
  const source = new CertificateRequester(ports.issuer, keys, clock);
  const shared = {
    clock,
    scheduler,
    table,
    mounter,
    store,
    source,
    keys,
    kubelet: kubeletVolumeData,
  };
  const monitoring = openMonitoring(metrics, table, () => renewer.failing, resources);
  const renewer: Renewer = new Renewer({
    ...shared,
    random: Math.random,
    onRenewal: monitoring.onRenewal,
  });
  const { checkInterval } = config;
  const publisher = new Publisher({ ...shared, renewer });
  const onUntrusted = renewer.renewSoon.bind(renewer);
  const trust = resources.use(new TrustBundleUpdater({ ...shared, checkInterval, onUntrusted }));
  const leftovers = {
    mounted: () => created.mounted(),
    removeUnreadable: records.removeUnreadable.bind(records),
  };
  const reconciler = resources.use(
    new Reconciler({ ...shared, renewer, leftovers, checkInterval }),
  );
  return { service, table, mounter, publisher, renewer, reconciler, trust, monitoring };
}

/** The metrics of the program, and what has to follow each call. */
function openMonitoring(
  metrics: Metrics,
  table: VolumeTable,
  failingRenewals: () => number,
  resources: AsyncDisposableStack,
) {
  const lag = resources.use(observeEventLoopLag(metrics, clock));
  const volumes = volumeMetrics(metrics, () => ({
    volumes: table.size,
    failing: failingRenewals(),
    earliestExpiry: table.earliestExpiry,
  }));
  const memory = resources.use(openMemoryTrimmer());
  const trimming = resources.use(new CoalescingTimer(clock, trimMemoryAfterMs, memory.trim));
  const onRenewal: typeof volumes.renewal = (outcome) => {
    volumes.renewal(outcome);
    lag.reportActivity();
  };
  const onActivity = () => {
    trimming.schedule();
    lag.reportActivity();
  };
  return { metrics, expose: volumes.expose, onRenewal, onActivity };
}
