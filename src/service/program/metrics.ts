import type { Counter, Metrics } from "../../shared/telemetry/metrics.ts";

/** What a certificate service looks like at one moment. */
export interface ServiceSnapshot {
  readonly certificates: number;
  /** How much work waits, by the queue's name. */
  readonly waiting: Readonly<Record<string, number>>;
  /** Connections to the gRPC port, by what is known of their clients. */
  readonly connections: Readonly<Record<string, number>>;
  /** The CA's end; undefined without a CA. */
  readonly caNotAfter: Temporal.Instant | undefined;
  /** Certificates that were given less than their validity so far, because the CA ends sooner. */
  readonly shortened: number;
}

/** What clients attempt, counted as it happens. */
export interface ClientCounters {
  readonly refusedConnections: Counter;
  readonly attestations: Counter;
}

/** Registers the counters of clients' attempts. */
export function clientCounters(metrics: Metrics): ClientCounters {
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

/** A certificate service's own metrics, computed for each scrape: returns the function that exposes them. */
export function serviceMetrics(metrics: Metrics, snapshot: () => ServiceSnapshot): () => string {
  const certificates = metrics.gauge(
    "csi_cert_inventory_certificates",
    "Valid certificates that this replica knows of.",
  );
  const waiting = metrics.gauge(
    "csi_cert_queue_waiting",
    "Work that waits, by kind: look-ups of pods, signatures, reported certificates.",
  );
  const connections = metrics.gauge(
    "csi_cert_connections",
    "Open connections to the gRPC port, by kind: unfinished handshakes, authenticated, anonymous.",
  );
  const caEnd = metrics.gauge(
    "csi_cert_ca_not_after_timestamp_seconds",
    "When the CA that signs now ends, in Unix time.",
  );
  const shortened = metrics.counter(
    "csi_cert_shortened_total",
    "Certificates given less than their validity, because the CA ends sooner.",
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
