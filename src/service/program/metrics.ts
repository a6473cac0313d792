import type { Metrics } from "../../shared/telemetry/metrics.ts";

/** The values of the gauges and counters at one moment. */
export interface ServiceSnapshot {
  readonly certificates: number;
  /** The number of waiting tasks, by queue. */
  readonly waiting: Readonly<Record<string, number>>;
  /** Connections to the gRPC port, by the state of their client. */
  readonly connections: Readonly<Record<string, number>>;
  /** When the signing CA expires; undefined without a CA. */
  readonly caNotAfter: Temporal.Instant | undefined;
  /** The number of certificates with a shortened validity, because the CA expires earlier. */
  readonly shortened: number;
}

/** Registers the counters of connections and attestations. */
export function clientCounters(metrics: Metrics) {
  return {
    refusedConnections: metrics.counter(
      "csi_cert_refused_connections_total",
      "Connections to the gRPC port that were not accepted or were closed, by reason.",
    ),
    attestations: metrics.counter(
      "csi_cert_attestations_total",
      "Attestations of nodes, by outcome.",
    ),
  };
}

/** Registers the metrics that are computed for each scrape. Returns the text of all metrics. */
export function serviceMetrics(metrics: Metrics, snapshot: () => ServiceSnapshot): () => string {
  const certificates = metrics.gauge(
    "csi_cert_inventory_certificates",
    "Valid certificates in the inventory of this replica.",
  );
  const waiting = metrics.gauge(
    "csi_cert_queue_waiting",
    "Waiting tasks by kind: look-ups of pods, signatures, reports of certificates.",
  );
  const connections = metrics.gauge(
    "csi_cert_connections",
    "Open connections to the gRPC port, by kind: unfinished handshakes, authenticated, anonymous.",
  );
  const caEnd = metrics.gauge(
    "csi_cert_ca_not_after_timestamp_seconds",
    "When the signing CA expires, in Unix time.",
  );
  const shortened = metrics.counter(
    "csi_cert_shortened_total",
    "Certificates with a shortened validity, because the CA expires earlier.",
  );
  let counted = 0;
  return () => {
    const now = snapshot();
    certificates.set(now.certificates);
    for (const [kind, count] of Object.entries(now.waiting)) waiting.set(count, { kind });
    for (const [kind, count] of Object.entries(now.connections)) connections.set(count, { kind });
    if (now.caNotAfter) caEnd.set(now.caNotAfter.epochMilliseconds / 1000);
    else caEnd.clear();
    shortened.add(now.shortened - counted);
    counted = now.shortened;
    return metrics.expose();
  };
}
