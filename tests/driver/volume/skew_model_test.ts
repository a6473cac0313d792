import assert from "node:assert/strict";
import fc from "fast-check";
import type { Volume } from "../../../src/driver/volume/volume_record.ts";
import { TestNode } from "../../support/node.ts";
import { runs } from "../../support/runs.ts";
import { TestIssuer } from "../../support/test_issuer.ts";

const hourMs = 3_600_000;
/** With a larger difference of the clocks no volume is published. */
const mostAtPublishMs = 5 * 60_000;
/** The longest `renew-before` that is accepted. */
const longestRenewBeforeMs = 87_600 * hourMs - 1;
const tenYearsSeconds = 10 * 365 * 24 * 3_600;
/** The node looks at its clocks this often in one lifetime, and sleeps between. */
const wakesPerLifetime = 40;
const lifetimes = 2.1;

interface Step {
  /** In shares of the whole time. */
  readonly at: number;
  /** By how much the node's clock is ahead of the service's from then on; negative when it is behind. */
  readonly offsetMs: number;
}

/** How a service that issues nothing answers, and how long after its return a renewal can still wait. */
const outageAnswers = {
  // The renewals that failed are tried again when the connection is back.
  unavailable: { answer: { kind: "unavailable", reason: "away" }, recoveryMs: 10_000 },
  overloaded: {
    answer: { kind: "overloaded", reason: "busy", retryAfter: Temporal.Duration.from("PT30S") },
    recoveryMs: 330_000,
  },
  denied: { answer: { kind: "denied", reason: "not yours" }, recoveryMs: 300_000 },
} as const;

interface Outage {
  /** In shares of the whole time, as its length. */
  readonly at: number;
  readonly length: number;
  readonly kind: keyof typeof outageAnswers;
}

interface Schedule {
  readonly seconds: number;
  /** Whether the volume has a `duration`; otherwise the service decides, as it does near the end of its CA. */
  readonly hasDuration: boolean;
  /** A share of the lifetime; undefined: the volume has no `renew-before`. */
  readonly renewBefore: number | undefined;
  /** By how much the node's clock is ahead when the volume is published. */
  readonly offsetMs: number;
  readonly steps: readonly Step[];
  readonly outage: Outage | undefined;
}

const offsetMs = fc.integer({ min: -hourMs, max: hourMs });

/** As many short lifetimes as long ones. */
const seconds = fc.double({ min: Math.log(10), max: Math.log(tenYearsSeconds), noNaN: true })
  .map((logarithm) => Math.round(Math.exp(logarithm)));

const schedules: fc.Arbitrary<Schedule> = fc.record({
  seconds,
  hasDuration: fc.boolean(),
  renewBefore: fc.option(fc.double({ min: 0, max: 3, noNaN: true }), { nil: undefined }),
  offsetMs,
  steps: fc.array(
    fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), offsetMs }),
    { maxLength: 4 },
  ),
  outage: fc.option(
    fc.record({
      at: fc.double({ min: 0, max: 0.8, noNaN: true }),
      length: fc.double({ min: 0, max: 0.5, noNaN: true }),
      kind: fc.constantFrom("unavailable", "overloaded", "denied"),
    }),
    { nil: undefined },
  ),
});

/** A node whose clock is wrong, and a service whose clock is right, which can fail. */
class SkewedNode {
  readonly node: TestNode;
  /** When each request was made, in milliseconds of the right time. */
  readonly requestedMs: number[] = [];
  #offsetMs = 0;
  #failing: Outage["kind"] | undefined;
  /** Until then a certificate may have expired, because the service did not issue. */
  #recoveredAtMs = 0;

  private constructor(node: TestNode, issuer: TestIssuer, seconds: number) {
    this.node = node;
    node.issuer.answer = (request) => {
      this.requestedMs.push(node.clock.moment().bootMs);
      if (this.#failing) return Promise.resolve(outageAnswers[this.#failing].answer);
      return issuer.sign({ ...request, attributes: { duration: `${seconds}s` } });
    };
  }

  static async open(node: TestNode, seconds: number): Promise<SkewedNode> {
    const start = node.clock.now();
    const rightNow = () => start.add({ milliseconds: Math.round(node.clock.moment().bootMs) });
    const issuer = await TestIssuer.create({
      now: rightNow,
      after: node.clock.after.bind(node.clock),
    });
    await node.restart();
    return new SkewedNode(node, issuer, seconds);
  }

  get #rightMs(): number {
    return this.node.clock.now().epochMilliseconds - this.#offsetMs;
  }

  setOffset(offsetMs: number): void {
    const { clock } = this.node;
    clock.set(clock.now().add({ milliseconds: offsetMs - this.#offsetMs }));
    this.#offsetMs = offsetMs;
  }

  /** Publishes a volume; where the clocks differ too much, after the node's is corrected as far as is necessary. */
  async publish(volume: Volume, offsetMs: number): Promise<void> {
    this.setOffset(offsetMs);
    if (Math.abs(offsetMs) > mostAtPublishMs + 1_000) {
      assert.equal((await this.node.publish(volume)).kind, "unavailable");
      this.setOffset(Math.sign(offsetMs) * (mostAtPublishMs - 1_000));
    }
    this.requestedMs.length = 0;
    assert.deepEqual(await this.node.publish(volume), { kind: "done" });
  }

  fail(kind: Outage["kind"]): void {
    this.#failing = kind;
    this.#recoveredAtMs = Infinity;
  }

  recover({ kind }: Outage, pauseMs: number): void {
    if (this.#failing === undefined) return;
    this.#failing = undefined;
    const { recoveryMs } = outageAnswers[kind];
    this.#recoveredAtMs = this.node.clock.moment().bootMs + recoveryMs + pauseMs;
    if (kind === "unavailable") this.node.renewer.retryFailed(recoveryMs);
  }

  async sleep(ms: number): Promise<void> {
    this.node.clock.sleep({ milliseconds: ms });
    await this.node.clock.until(() => this.node.scheduler.running === 0);
    // What the runs have planned at this very instant.
    await this.node.clock.advance({ milliseconds: 0 });
    await this.node.clock.until(() => this.node.scheduler.running === 0);
  }

  /** `lateMs`: by how much the machine may have slept too long for a renewal in time. */
  async assertValid(volume: Volume, lateMs: number): Promise<void> {
    if (this.node.clock.moment().bootMs < this.#recoveredAtMs) return;
    const { notAfter } = await this.node.leaf(volume);
    const leftMs = notAfter.epochMilliseconds - this.#rightMs;
    assert.ok(leftMs > -lateMs, `the certificate expired ${-leftMs / 1000} s ago`);
  }
}

/** The least time between two requests, as the documentation states it. */
function floorMs(lifetimeMs: number): number {
  return Math.min(60_000, Math.max(1_000, lifetimeMs / 20));
}

function renewBeforeMs({ seconds, hasDuration, renewBefore }: Schedule): number | undefined {
  if (renewBefore === undefined) return undefined;
  // With a duration, renew-before has to be shorter.
  const mostMs = hasDuration ? seconds * 1000 - 1 : longestRenewBeforeMs;
  return Math.min(mostMs, Math.max(1, Math.floor(renewBefore * seconds * 1000)));
}

function attributesOf(schedule: Schedule): Record<string, string> {
  const beforeMs = renewBeforeMs(schedule);
  return {
    "key-algorithm": "ed25519",
    ...(schedule.hasDuration ? { duration: `${schedule.seconds}s` } : {}),
    ...(beforeMs === undefined ? {} : { "renew-before": `${beforeMs}ms` }),
  };
}

async function follow(schedule: Schedule): Promise<void> {
  const { outage } = schedule;
  await using node = await TestNode.create();
  const skewed = await SkewedNode.open(node, schedule.seconds);
  const volume = await node.request(attributesOf(schedule));
  await skewed.publish(volume, schedule.offsetMs);
  const lifetimeMs = schedule.seconds * 1000;
  const wakeMs = Math.round(lifetimeMs / wakesPerLifetime);
  const wakes = lifetimes * wakesPerLifetime;
  // A wake, and the whole seconds of X.509.
  const slackMs = 2 * wakeMs + 2_000;
  const lateMs = (renewBeforeMs(schedule) ?? Infinity) < slackMs ? slackMs : 0;
  const steps = [...schedule.steps].sort((left, right) => left.at - right.at);
  for (let wake = 0; wake < wakes; wake++) {
    while (steps[0] !== undefined && steps[0].at * wakes <= wake) {
      skewed.setOffset(steps.shift()!.offsetMs);
    }
    if (outage) {
      const isOn = wake >= outage.at * wakes && wake < (outage.at + outage.length) * wakes;
      if (isOn) skewed.fail(outage.kind);
      else skewed.recover(outage, floorMs(lifetimeMs) + slackMs);
    }
    await skewed.sleep(wakeMs);
    await skewed.assertValid(volume, lateMs);
  }
  const gaps = skewed.requestedMs.slice(1).map((at, index) => at - skewed.requestedMs[index]!);
  const isQuiet = schedule.steps.length === 0 && outage === undefined;
  const leastGapMs = isQuiet ? lifetimeMs / 2 - 1 : floorMs(lifetimeMs);
  for (const gap of gaps) assert.ok(gap >= leastGapMs, `${gap} ms between two requests`);
  const renewed = node.renewals.filter((outcome) => outcome === "renewed").length;
  // A renewal for each half of a lifetime, and for each step at most what it makes due at once.
  assert.ok(renewed <= 2 * lifetimes + schedule.steps.length, `${renewed} renewals`);
  if (outage) return;
  assert.ok(renewed >= 2, "renewed");
  assert.equal(node.renewals.length, renewed, "no attempt failed");
}

Deno.test("whatever the node's clock shows and however it steps, a certificate never expires while the service issues, and no request follows another too soon", async () => {
  await fc.assert(fc.asyncProperty(schedules, follow), runs(30));
});

const quiet = {
  hasDuration: true,
  renewBefore: undefined,
  offsetMs: 0,
  steps: [],
  outage: undefined,
};
const defects: readonly [string, Schedule][] = [
  ["61 s ahead with a lifetime of 1 minute", {
    ...quiet,
    seconds: 60,
    offsetMs: 61_000,
  }],
  ["4 minutes behind with a lifetime of 10 minutes", {
    ...quiet,
    seconds: 600,
    offsetMs: -240_000,
  }],
  ["9 minutes behind with a lifetime of 10 minutes", {
    ...quiet,
    seconds: 600,
    steps: [{ at: 0, offsetMs: -540_000 }],
  }],
  ["right, and renew-before longer than the lifetime", {
    ...quiet,
    hasDuration: false,
    seconds: 168 * 3_600,
    renewBefore: 200 / 168,
  }],
  ["right, and renew-before as long as the lifetime that the end of the CA leaves", {
    ...quiet,
    hasDuration: false,
    seconds: 240 * 3_600,
    renewBefore: 1,
  }],
  ["right, and renew-before a second shorter than a lifetime of 1 minute", {
    ...quiet,
    seconds: 60,
    renewBefore: 59 / 60,
  }],
];

for (const [name, schedule] of defects) {
  Deno.test(`a node whose clock is ${name} renews once for each lifetime, in time`, () =>
    follow(schedule));
}

for (const kind of ["unavailable", "overloaded", "denied"] as const) {
  Deno.test(`a volume whose renewals are ${kind} is tried no more often than the least pause permits, and renewed afterwards`, () =>
    follow({ ...quiet, seconds: 600, outage: { at: 0.35, length: 0.3, kind } }));
}
