import assert from "node:assert/strict";
import fc from "fast-check";
import { Metrics } from "../../../src/shared/telemetry/metrics.ts";

Deno.test("counters, gauges and histograms are exposed in the text format", () => {
  const metrics = new Metrics();
  const issued = metrics.counter("issued_total", "Certificates issued.");
  issued.add();
  issued.add(2);
  issued.add(1, { result: "denied", code: "7" });
  issued.add(1, { code: "7", result: "denied" });
  metrics.counter("revoked_total", "Certificates revoked.").add(0);
  const volumes = metrics.gauge("volumes", "Volumes held.");
  volumes.set(5);
  volumes.set(-1.5);
  const seconds = metrics.histogram("issue_seconds", "Time to issue.", [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 3]) seconds.observe(value);
  seconds.observe(2, { key: "rsa" });
  assert.equal(
    metrics.expose(),
    `# HELP issued_total Certificates issued.
# TYPE issued_total counter
issued_total 3
issued_total{code="7",result="denied"} 2
# HELP revoked_total Certificates revoked.
# TYPE revoked_total counter
revoked_total 0
# HELP volumes Volumes held.
# TYPE volumes gauge
volumes -1.5
# HELP issue_seconds Time to issue.
# TYPE issue_seconds histogram
issue_seconds_bucket{le="0.1"} 2
issue_seconds_bucket{le="1"} 3
issue_seconds_bucket{le="+Inf"} 4
issue_seconds_sum 3.65
issue_seconds_count 4
issue_seconds_bucket{key="rsa",le="0.1"} 0
issue_seconds_bucket{key="rsa",le="1"} 0
issue_seconds_bucket{key="rsa",le="+Inf"} 1
issue_seconds_sum{key="rsa"} 2
issue_seconds_count{key="rsa"} 1
`,
  );
});

Deno.test("no metrics are no lines", () => {
  assert.equal(new Metrics().expose(), "");
});

Deno.test("backslashes, line feeds and quotes are escaped in labels, and not quotes in help", () => {
  const metrics = new Metrics();
  metrics.gauge("up", 'says "a\\b"\nand more').set(1, { reason: 'a "b" c\\d\ne' });
  assert.equal(
    metrics.expose(),
    '# HELP up says "a\\\\b"\\nand more\n# TYPE up gauge\nup{reason="a \\"b\\" c\\\\d\\ne"} 1\n',
  );
});

Deno.test("any label value can be read back from its line, and stays on it", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("\\", '"', "\n", "n", "}", ",", "=", " ") }),
      (value) => {
        const metrics = new Metrics();
        metrics.gauge("up", "").set(1, { label: value });
        const line = metrics.expose().split("\n")[2] ?? "";
        const quoted = /^up\{label=("(?:[^"\\]|\\.)*")\} 1$/.exec(line)?.[1];
        assert.ok(quoted, line);
        assert.equal(JSON.parse(quoted), value);
      },
    ),
  );
});

Deno.test("values without a number are written as Prometheus writes them", () => {
  const metrics = new Metrics();
  const gauge = metrics.gauge("odd", "");
  gauge.set(Infinity, { a: "1" });
  gauge.set(-Infinity, { a: "2" });
  gauge.set(NaN, { a: "3" });
  const lines = metrics.expose().split("\n");
  assert.deepEqual(lines.slice(2, 5), ['odd{a="1"} +Inf', 'odd{a="2"} -Inf', 'odd{a="3"} NaN']);
  const histogram = new Metrics();
  histogram.histogram("h", "", [1, Infinity]).observe(NaN);
  assert.match(histogram.expose(), /le="1"\} 0\nh_bucket\{le="\+Inf"\} 1\nh_sum NaN\nh_count 1\n$/);
});

Deno.test("names and numbers that Prometheus would refuse are refused at once", () => {
  const metrics = new Metrics();
  const counter = metrics.counter("a_total", "");
  const histogram = metrics.histogram("b", "", [1]);
  assert.throws(() => metrics.gauge("a_total", ""), /the metric a_total exists already/);
  assert.throws(() => metrics.gauge("a-b", ""), /no metric name: a-b/);
  assert.throws(() => metrics.gauge("", ""), /no metric name/);
  assert.throws(() => counter.add(-1), /a_total counts up and cannot take -1/);
  assert.throws(() => counter.add(NaN), /cannot take NaN/);
  for (const label of ["a-b", "__name__", "1", ""]) {
    assert.throws(() => counter.add(1, { [label]: "x" }), /no label name/);
  }
  assert.throws(() => histogram.observe(1, { le: "1" }), /the label le names the buckets/);
  for (const buckets of [[2, 1], [1, 1], [NaN]]) {
    assert.throws(() => metrics.histogram("c", "", buckets), /the buckets of c do not ascend/);
  }
});
