import assert from "node:assert/strict";
import { createCallMetrics } from "../../../src/shared/telemetry/call_metrics.ts";
import { Metrics } from "../../../src/shared/telemetry/metrics.ts";
import { ClockSkewReport } from "../../../src/driver/program/clock_skew_report.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { volumeMetrics } from "../../../src/driver/program/metrics.ts";

Deno.test("calls are counted by method and code, and their time by method", () => {
  const metrics = new Metrics();
  const count = createCallMetrics(metrics);
  count({ method: "/csi.v1.Node/NodePublishVolume", code: "OK", ms: 30 });
  count({ method: "/csi.v1.Node/NodePublishVolume", code: "UNAVAILABLE", ms: 20_000 });
  const text = metrics.expose();
  const method = 'method="/csi.v1.Node/NodePublishVolume"';
  assert.ok(text.includes(`grpc_server_calls_total{code="OK",${method}} 1`), text);
  assert.ok(text.includes(`grpc_server_calls_total{code="UNAVAILABLE",${method}} 1`));
  assert.ok(text.includes(`grpc_server_call_seconds_bucket{le="0.05",${method}} 1`));
  assert.ok(text.includes(`grpc_server_call_seconds_count{${method}} 2`));
});

Deno.test("the difference of the clocks is a gauge, and is reported once from a minute on until it is small again", async () => {
  await using logs = await captureLogs(["csi-driver", "clock"]);
  const metrics = new Metrics();
  const report = new ClockSkewReport(metrics);
  assert.ok(!/^csi_cert_clock_skew/m.test(metrics.expose()), "none before the first certificate");
  report.record(-59_000);
  assert.equal(report.problem, undefined);
  assert.match(metrics.expose(), /^csi_cert_clock_skew_seconds -59$/m);
  for (const skewMs of [90_000, 95_000]) report.record(skewMs);
  assert.match(report.problem ?? "", /the clock of this node is 95 s behind the certificate/);
  assert.equal(logs.records.length, 1);
  report.record(0);
  assert.equal(report.problem, undefined);
  report.record(-120_000);
  assert.match(report.problem ?? "", /120 s ahead of the certificate service's/);
  assert.equal(logs.records.length, 2);
});

Deno.test("the gauges of a node are current at each scrape, and without a volume there is no expiry", () => {
  const earliestExpiry = Temporal.Instant.from("2026-01-02T00:00:00Z");
  const volumes = volumeMetrics(new Metrics());
  volumes.countRenewal("renewed");
  const first = volumes.expose({
    volumes: 2,
    failing: 1,
    overdue: 1,
    unreadable: 3,
    earliestExpiry,
  });
  for (
    const line of [
      "csi_cert_volumes 2",
      "csi_cert_volumes_renewal_failing 1",
      "csi_cert_volumes_overdue 1",
      "csi_cert_unreadable_records 3",
      `csi_cert_earliest_expiry_timestamp_seconds ${earliestExpiry.epochMilliseconds / 1000}`,
      'csi_cert_renewals_total{outcome="renewed"} 1',
      'csi_cert_renewals_total{outcome="failed"} 0',
    ]
  ) assert.ok(first.includes(`${line}\n`), first);
  const second = volumes.expose({
    volumes: 0,
    failing: 0,
    overdue: 0,
    unreadable: 0,
    earliestExpiry: undefined,
  });
  assert.ok(!/^csi_cert_earliest_expiry/m.test(second));
});
