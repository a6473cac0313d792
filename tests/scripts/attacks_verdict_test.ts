import assert from "node:assert/strict";
import { largestLag } from "../../scripts/attacks/harness/process_state.ts";
import { rows } from "../../scripts/attacks/rows/all.ts";
import {
  closingLine,
  expectations,
  isOnlySlow,
  isWorthRepeating,
  memoryLimitMiB,
  type Observation,
  violations,
} from "../../scripts/attacks/harness/verdict.ts";
import { parseAnswer } from "../../scripts/attacks/programs/attestation.ts";
import { madeUpToken, withHeader } from "../../scripts/attacks/programs/tokens.ts";
import {
  type HonestSamples,
  noSamples,
  quantile,
  summarizeSamples,
} from "../../scripts/attacks/honest/calls.ts";
import { readReport } from "../../scripts/attacks/tools/h2spec.ts";

function seen(change: Partial<Observation> = {}): Observation {
  return {
    exitCode: undefined,
    memoryMiB: 100,
    lag: { aboveMs: 10, upToMs: 20 },
    honest: summarizeSamples({ ...noSamples(), calls: [10, 20], connections: [30] }),
    quietP99Ms: 20,
    failure: undefined,
    ...change,
  };
}

function honest(change: Partial<HonestSamples>) {
  return summarizeSamples({ ...noSamples(), ...change });
}

Deno.test("a row passes while every part of its expectation holds", () => {
  assert.deepEqual(violations(expectations.unauthenticated, seen()), []);
  assert.deepEqual(violations(expectations.node, seen({ memoryMiB: 1_000 })), []);
});

const violated: readonly [string, Partial<Observation>, RegExp][] = [
  ["the process ends", { exitCode: 1 }, /ended with exit code 1/],
  ["memory grows past the limit", { memoryMiB: 257 }, /257 MiB of memory, above 256 MiB/],
  ["the event loop lags", { lag: { aboveMs: 250, upToMs: 500 } }, /lagged up to 500 ms/],
  [
    "the metrics are not answered",
    { lag: { aboveMs: Infinity, upToMs: Infinity } },
    /lagged up to Inf/,
  ],
  ["an honest call fails", { honest: honest({ callFailures: ["closed"] }) }, /1 of 1 honest calls/],
  [
    "an honest connection fails",
    { honest: honest({ connections: [1], connectionFailures: ["closed"] }) },
    /1 of 2 honest new connections/,
  ],
  ["/livez is not answered", { honest: honest({ livezFailures: ["timeout"] }) }, /livez was not/],
  ["honest calls become slow", { honest: honest({ calls: [300] }) }, /honest p99 300 ms/],
  ["the attack finds something", { failure: "was served" }, /was served/],
];

for (const [what, change, sentence] of violated) {
  Deno.test(`a row fails when ${what}`, () => {
    const found = violations(expectations.unauthenticated, seen(change));
    assert.equal(found.length, 1);
    assert.match(found[0]!.sentence, sentence);
  });
}

Deno.test("only what a busy machine can cause is worth another attempt", () => {
  const worth = (change: Partial<Observation>) =>
    isWorthRepeating(violations(expectations.unauthenticated, seen(change)));
  const lag = { aboveMs: 250, upToMs: 500 };
  const missing: readonly Partial<HonestSamples>[] = [
    { connectionFailures: ["closed"] },
    { callFailures: ["timeout"] },
    { livezFailures: ["timeout"] },
  ];
  for (const failures of missing) {
    const quick = honest({ calls: [10], ...failures });
    assert.equal(worth({ honest: quick }), false, "the machine was not busy");
    assert.equal(worth({ lag, honest: quick }), true);
    assert.equal(worth({ honest: honest({ calls: [300], ...failures }) }), true);
    assert.equal(worth({ honest: honest({ calls: [10], ownLags: [250], ...failures }) }), true);
  }
  assert.equal(worth({ lag }), true);
  assert.equal(worth({ lag, exitCode: 1 }), false);
  assert.equal(worth({ lag, memoryMiB: 257 }), false);
  assert.equal(worth({ failure: "was served" }), false);
  assert.equal(worth({ failure: "nothing was attacked", isInconclusive: true }), true);
});

Deno.test("a row is slow, and nothing worse, only when every answer came and the program did not stall", () => {
  const isSlow = (change: Partial<Observation>) =>
    isOnlySlow(violations(expectations.unauthenticated, seen(change)));
  const lag = { aboveMs: 250, upToMs: 500 };
  assert.equal(isSlow({ lag }), true);
  assert.equal(isSlow({ honest: honest({ calls: [300] }) }), true);
  assert.equal(isSlow({ lag: { aboveMs: 1000, upToMs: 2500 } }), false);
  assert.equal(isSlow({ lag: { aboveMs: Infinity, upToMs: Infinity } }), false);
  assert.equal(isSlow({ honest: honest({ calls: [1000] }) }), false);
  assert.equal(isSlow({ lag, failure: "was served" }), false);
  assert.equal(isSlow({ lag, failure: "nothing was attacked", isInconclusive: true }), false);
  assert.equal(isSlow({ lag, honest: honest({ callFailures: ["closed"] }) }), false);
});

Deno.test("the callers' own waits for a processor are not counted as the program's", () => {
  const busy = honest({ calls: [300], ownLags: [40] });
  const slow = seen({ lag: { aboveMs: 250, upToMs: 500 }, honest: busy });
  assert.deepEqual(violations(expectations.unauthenticated, slow), []);
});

Deno.test("latencies below the machine's noise are not compared", () => {
  const quick = seen({ quietP99Ms: 1, honest: honest({ calls: [200] }) });
  assert.deepEqual(violations(expectations.unauthenticated, quick), []);
});

Deno.test("the closing line names skipped rows only where there are some", () => {
  assert.equal(closingLine(3, 0, 0), "3 passed, 0 failed");
  assert.equal(closingLine(3, 1, 2), "3 passed, 1 failed, 2 skipped");
});

Deno.test("the memory limits are the manifest's", async () => {
  const text = await Deno.readTextFile(
    new URL("../../deploy/base/csi-driver.yaml", import.meta.url),
  );
  const limits = [...text.matchAll(/limits: \{ memory: (\d+)(Mi|Gi) \}/g)]
    .map(([, size, unit]) => Number(size) * (unit === "Gi" ? 1024 : 1));
  assert.deepEqual(limits.sort(), [memoryLimitMiB.service, memoryLimitMiB.driver].sort());
});

Deno.test("the largest lag is the bound above every observation between two readings", () => {
  const before = [[0.05, 10], [0.25, 10], [Infinity, 10]] as const;
  const lag = (...counts: number[]) =>
    largestLag(before, [[0.05, counts[0]!], [0.25, counts[1]!], [Infinity, counts[2]!]]);
  assert.deepEqual(lag(15, 15, 15), { aboveMs: 0, upToMs: 50 });
  assert.deepEqual(lag(15, 16, 16), { aboveMs: 50, upToMs: 250 });
  assert.deepEqual(lag(15, 16, 17), { aboveMs: 250, upToMs: Infinity });
  assert.equal(largestLag(before, before), undefined);
  assert.equal(largestLag(before, [])?.upToMs, Infinity);
});

Deno.test("a quantile is a sample, and NaN without samples", () => {
  assert.equal(quantile([3, 1, 2], 0.99), 3);
  assert.equal(quantile([1, 2, 3, 4], 0.5), 2);
  assert.ok(Number.isNaN(quantile([], 0.99)));
});

Deno.test("no two rows have the same name, position and target", () => {
  const names = rows.map(({ name, position, target }) => `${name} (${position}, ${target})`);
  assert.deepEqual(names.filter((name, index) => names.indexOf(name) !== index), []);
});

Deno.test("an answer of the attestation endpoint is parsed, and other bytes have status 0", () => {
  const text = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n{}";
  const { status, body } = parseAnswer(text);
  assert.deepEqual([status, body], [429, "{}"]);
  assert.equal(parseAnswer("HTTP/2 nonsense").status, 0);
  assert.equal(parseAnswer("HTTP/1.1 200 OK\r\n").status, 0);
});

Deno.test("a made-up token differs from a genuine one in its signature alone", () => {
  const [header = "", payload = ""] = madeUpToken(1).split(".");
  const read = (part: string) =>
    JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(part, { alphabet: "base64url" })));
  assert.equal(read(header).alg, "RS256");
  assert.equal(read(payload).sub, "system:serviceaccount:csi-cert-system:csi-cert-driver");
  const [changed = "", same] = withHeader(madeUpToken(1), { alg: "none" }).split(".");
  assert.equal(read(changed).alg, "none");
  assert.equal(read(same ?? "").jti, "made-up-1");
});

Deno.test("h2spec's report is read with the names of what failed", () => {
  const report = `<testsuites><testsuite package="http2/6.3">
    <testcase package="http2/6.3" classname="Sends a &#34;PRIORITY&#34; frame" time="1">
      <failure>x</failure></testcase>
    <testcase package="http2/6.5" classname="Sends a SETTINGS frame" time="1"></testcase>
  </testsuite></testsuites>`;
  assert.deepEqual(readReport(report), {
    passed: 1,
    failed: ['http2/6.3: Sends a "PRIORITY" frame'],
  });
});
