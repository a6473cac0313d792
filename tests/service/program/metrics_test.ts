import assert from "node:assert/strict";
import { Metrics } from "../../../src/shared/telemetry/metrics.ts";
import { serviceMetrics } from "../../../src/service/program/metrics.ts";

Deno.test("a service's gauges are those of the moment, and its counter never counts twice", () => {
  const caNotAfter = Temporal.Instant.from("2027-01-01T00:00:00Z");
  let snapshot = {
    certificates: 7,
    waiting: { lookup: 3, signature: 2, report: 0 },
    connections: { unfinished: 1, authenticated: 5, anonymous: 0 },
    caNotAfter: caNotAfter as Temporal.Instant | undefined,
    shortened: 3,
  };
  const expose = serviceMetrics(new Metrics(), () => snapshot);
  expose();
  const text = expose();
  for (
    const line of [
      "csi_cert_inventory_certificates 7",
      'csi_cert_queue_waiting{kind="lookup"} 3',
      'csi_cert_queue_waiting{kind="signature"} 2',
      'csi_cert_queue_waiting{kind="report"} 0',
      'csi_cert_connections{kind="unfinished"} 1',
      'csi_cert_connections{kind="authenticated"} 5',
      'csi_cert_connections{kind="anonymous"} 0',
      `csi_cert_ca_not_after_timestamp_seconds ${caNotAfter.epochMilliseconds / 1000}`,
      "csi_cert_shortened_total 3",
    ]
  ) assert.ok(text.includes(`${line}\n`), text);
  snapshot = { ...snapshot, caNotAfter: undefined, shortened: 4 };
  const later = expose();
  assert.ok(!/^csi_cert_ca_not_after/m.test(later));
  assert.match(later, /^csi_cert_shortened_total 4$/m);
});
