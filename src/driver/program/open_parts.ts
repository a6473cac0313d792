import { getLogger } from "@logtape/logtape";
import { Disk } from "../../shared/linux/disk.ts";
import { openMemoryTrimmer } from "../../shared/linux/memory_trim.ts";
import type { Moment } from "../../shared/scheduler/clock.ts";
import { CoalescingTimer } from "../../shared/scheduler/coalescing_timer.ts";
import { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { systemClock } from "../../shared/scheduler/system_clock.ts";
import { observeEventLoopLag } from "../../shared/telemetry/event_loop_lag.ts";
import type { Metrics } from "../../shared/telemetry/metrics.ts";
import { kubeletVolumeData } from "../mount/kubelet_volume_data.ts";
import { selectMounter } from "../mount/mounter_selection.ts";
import { openRecordStore } from "../records/record_store.ts";
import { connectService } from "../service_client/connection.ts";
import { GrpcIssuanceClient } from "../service_client/issuance_client.ts";
import { NodeReporter } from "../service_client/node_reporter.ts";
import { ClockSkewReport } from "./clock_skew_report.ts";
import { composeVolumes, type DriverPorts } from "./compose_volumes.ts";
import type { DriverConfig } from "./config.ts";
import { openNodeClock, steadyClock } from "./node_clock.ts";
import { volumeMetrics, type VolumeSnapshot } from "./metrics.ts";

export const program = "csi-driver";
export const logger = getLogger([program]);
/** By then a burst of calls has mostly ended; releasing memory costs a millisecond. */
const trimMemoryAfterMs = 1_000;

/** Tests put faults between the driver and its ports with one of these. */
export type WrapPorts = (ports: DriverPorts) => DriverPorts;

export type DriverParts = Awaited<ReturnType<typeof openParts>>;

export interface OpenOptions {
  readonly stagingDir: string;
  readonly wrapPorts: WrapPorts;
  readonly metrics: Metrics;
  readonly version: string;
}

/** Creates everything below the sockets, for as long as `resources` lives; the caller has the lock of CERT_BASE_PATH. */
export async function openParts(
  config: DriverConfig,
  { stagingDir, wrapPorts, metrics, version }: OpenOptions,
  resources: AsyncDisposableStack,
) {
  const clock = resources.use(openNodeClock());
  const disk = new Disk();
  const mounter = resources.use(
    await selectMounter({
      disk,
      stagingDir,
      allowKeysOnDisk: config.allowKeysOnDisk,
      selinuxContext: config.selinuxContext,
      onWarning: (message) => logger.warn("{message}", { message }),
    }),
  );
  const { random } = Math;
  const service = resources.use(connectService(config.certService, { clock, random }));
  const scheduler = resources.use(
    new Scheduler({
      clock: steadyClock(clock),
      onError: (key, error, next) =>
        logger.error("the job of {key} failed", { key, error, nextAttempt: next }),
    }),
  );
  const store = openRecordStore(disk, config.certBasePath);
  const ports = wrapPorts({ mounter, store, issuer: new GrpcIssuanceClient(service.client) });
  const reporting = openReporting(metrics, resources);
  const clockSkew = new ClockSkewReport(metrics);
  const { client } = service;
  const reporter = new NodeReporter({ client, clock, random, driverVersion: version });
  const volumes = resources.use(composeVolumes({
    ...ports,
    clock,
    scheduler,
    kubelet: kubeletVolumeData(disk),
    random,
    checkInterval: config.checkInterval,
    onRenewal: reporting.onRenewal,
    onClockSkew: (skewMs) => clockSkew.record(skewMs),
    onRemoved: (record) => reporter.release(record),
  }));
  return {
    ...volumes,
    mounter: ports.mounter,
    swapProblem: () => mounter.swapProblem,
    clockProblem: () => clockSkew.problem,
    clockSkewMs: () => clockSkew.latestMs,
    reporter,
    service,
    exposeMetrics: () => reporting.expose(snapshotOf(volumes, clock.moment())),
    onActivity: reporting.onActivity,
  };
}

function snapshotOf(
  { table, renewer, reconciler }: ReturnType<typeof composeVolumes>,
  moment: Moment,
): VolumeSnapshot {
  return {
    volumes: table.size,
    failing: renewer.failing,
    overdue: table.overdue(moment),
    unreadable: reconciler.unreadableRecords,
    earliestExpiry: table.earliestExpiry(moment),
  };
}

/** The metrics of the program, and what follows each call. */
function openReporting(metrics: Metrics, resources: AsyncDisposableStack) {
  const lag = resources.use(observeEventLoopLag(metrics, systemClock));
  const volumes = volumeMetrics(metrics);
  const memory = resources.use(openMemoryTrimmer());
  const trimming = resources.use(new CoalescingTimer(systemClock, trimMemoryAfterMs, memory.trim));
  return {
    expose: volumes.expose,
    onRenewal(outcome: "renewed" | "failed"): void {
      volumes.countRenewal(outcome);
      lag.reportActivity();
    },
    onActivity(): void {
      trimming.schedule();
      lag.reportActivity();
    },
  };
}
