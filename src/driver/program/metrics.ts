import type { Metrics } from "../../shared/telemetry/metrics.ts";

/** The state of a driver's volumes at one moment. */
export interface VolumeSnapshot {
  readonly volumes: number;
  /** Those whose last attempt at a renewal failed. */
  readonly failing: number;
  /** Those whose certificate was due for renewal and is still there. */
  readonly overdue: number;
  /** Records that could not be read. */
  readonly unreadable: number;
  /** When the first certificate expires; undefined without volumes. */
  readonly earliestExpiry: Temporal.Instant | undefined;
}

/** A driver's own metrics; the gauges are set for each scrape. */
export function volumeMetrics(metrics: Metrics) {
  const volumes = metrics.gauge("csi_cert_volumes", "Volumes published on this node.");
  const failing = metrics.gauge(
    "csi_cert_volumes_renewal_failing",
    "Volumes whose last attempt at a renewal failed.",
  );
  const overdue = metrics.gauge(
    "csi_cert_volumes_overdue",
    "Volumes whose certificate was due for renewal and has not been renewed in time.",
  );
  const unreadable = metrics.gauge(
    "csi_cert_unreadable_records",
    "Records of volumes that could not be read; their certificates are not renewed.",
  );
  const expiry = metrics.gauge(
    "csi_cert_earliest_expiry_timestamp_seconds",
    "When the first of this node's certificates expires, in Unix time.",
  );
  const renewals = metrics.counter(
    "csi_cert_renewals_total",
    "Renewals of certificates, by outcome.",
  );
  for (const outcome of ["renewed", "failed"]) renewals.add(0, { outcome });
  return {
    countRenewal: (outcome: "renewed" | "failed") => renewals.add(1, { outcome }),
    /** The text of a scrape. */
    expose(snapshot: VolumeSnapshot): string {
      const { earliestExpiry } = snapshot;
      volumes.set(snapshot.volumes);
      failing.set(snapshot.failing);
      overdue.set(snapshot.overdue);
      unreadable.set(snapshot.unreadable);
      if (earliestExpiry) expiry.set(earliestExpiry.epochMilliseconds / 1000);
      else expiry.clear();
      return metrics.expose();
    },
  };
}
