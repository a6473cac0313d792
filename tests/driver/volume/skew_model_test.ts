import assert from "node:assert/strict";
import fc from "fast-check";
import { requestPauseMs } from "../../../src/driver/certificates/renewal_time.ts";
import type { Volume } from "../../../src/driver/volume/volume_record.ts";
import { TestNode } from "../../support/node.ts";
import { runs } from "../../support/runs.ts";
import { TestIssuer } from "../../support/test_issuer.ts";

const hourMs = 3_600_000;
/** Of a volume without `duration`. */
const defaultSeconds = 168 * 3_600;
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

interface Schedule {
  readonly seconds: number;
  /** A share of the lifetime; undefined: the volume has no `renew-before`. */
  readonly renewBefore: number | undefined;
  readonly steps: readonly Step[];
}

const offsetMs = fc.integer({ min: -hourMs, max: hourMs });

/** As many short lifetimes as long ones. */
const seconds = fc.double({ min: Math.log(10), max: Math.log(tenYearsSeconds), noNaN: true })
  .map((logarithm) => Math.round(Math.exp(logarithm)));

const schedules: fc.Arbitrary<Schedule> = fc.record({
  seconds,
  renewBefore: fc.option(fc.double({ min: 0.05, max: 0.99, noNaN: true }), { nil: undefined }),
  steps: fc.array(
    fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), offsetMs }),
    { maxLength: 4 },
  ),
});

/** A node whose clock is wrong, and a service whose clock is right. */
class SkewedNode {
  readonly node: TestNode;
  /** When each request was made, in milliseconds of the right time. */
  readonly requestedMs: number[] = [];
  #offsetMs = 0;

  private constructor(node: TestNode, issuer: TestIssuer) {
    this.node = node;
    node.issuer.answer = (request) => {
      this.requestedMs.push(node.clock.moment().bootMs);
      return issuer.sign(request);
    };
  }

  static async open(node: TestNode): Promise<SkewedNode> {
    const start = node.clock.now();
    const rightNow = () => start.add({ milliseconds: Math.round(node.clock.moment().bootMs) });
    const issuer = await TestIssuer.create({
      now: rightNow,
      after: node.clock.after.bind(node.clock),
    });
    await node.restart();
    return new SkewedNode(node, issuer);
  }

  get rightMs(): number {
    return this.node.clock.now().epochMilliseconds - this.#offsetMs;
  }

  setOffset(offsetMs: number): void {
    const { clock } = this.node;
    clock.set(clock.now().add({ milliseconds: offsetMs - this.#offsetMs }));
    this.#offsetMs = offsetMs;
  }

  async sleep(ms: number): Promise<void> {
    this.node.clock.sleep({ milliseconds: ms });
    await this.node.clock.until(() => this.node.scheduler.running === 0);
    // What the runs have planned at this very instant.
    await this.node.clock.advance({ milliseconds: 0 });
    await this.node.clock.until(() => this.node.scheduler.running === 0);
  }

  assertValid(volume: Volume): void {
    const { notAfter } = this.node.leaf(volume);
    const leftMs = notAfter.epochMilliseconds - this.rightMs;
    assert.ok(leftMs > 0, `the certificate expired ${-leftMs / 1000} s ago`);
  }
}

function attributesOf({ seconds, renewBefore }: Schedule): Record<string, string> {
  const isDefault = seconds === defaultSeconds;
  const attributes = {
    "key-algorithm": "ed25519",
    ...(isDefault ? {} : { duration: `${seconds}s` }),
  };
  if (renewBefore === undefined) return attributes;
  // A renewal takes time, and X.509 has whole seconds.
  const ms = Math.max(2_000, Math.floor(renewBefore * seconds * 1000));
  return { ...attributes, "renew-before": `${ms}ms` };
}

async function follow(schedule: Schedule): Promise<void> {
  await using node = await TestNode.create();
  const skewed = await SkewedNode.open(node);
  const volume = await node.request(attributesOf(schedule));
  assert.deepEqual(await node.publish(volume), { kind: "done" });
  const wakeMs = Math.round(schedule.seconds * 1000 / wakesPerLifetime);
  const wakes = lifetimes * wakesPerLifetime;
  const steps = [...schedule.steps].sort((left, right) => left.at - right.at);
  for (let wake = 0; wake < wakes; wake++) {
    while (steps[0] !== undefined && steps[0].at * wakes <= wake) {
      skewed.setOffset(steps.shift()!.offsetMs);
    }
    await skewed.sleep(wakeMs);
    skewed.assertValid(volume);
  }
  const lifetimeMs = schedule.seconds * 1000;
  const gaps = skewed.requestedMs.slice(1).map((at, index) => at - skewed.requestedMs[index]!);
  const leastGapMs = schedule.steps.length === 0 ? lifetimeMs / 2 - 1 : requestPauseMs(lifetimeMs);
  for (const gap of gaps) assert.ok(gap >= leastGapMs, `${gap} ms between two requests`);
  assert.ok(gaps.length >= 2, "renewed");
  // A renewal for each half of a lifetime, and for each step at most what it makes due at once.
  assert.ok(gaps.length <= 2 * lifetimes + schedule.steps.length, `${gaps.length} renewals`);
  assert.deepEqual(node.renewals.filter((outcome) => outcome === "failed"), []);
}

Deno.test("whatever the node's clock shows and however it steps, a certificate never expires while the service answers, and no request follows another too soon", async () => {
  await fc.assert(fc.asyncProperty(schedules, follow), runs(30));
});

const defects: readonly [string, Schedule][] = [
  ["61 s ahead with a lifetime of 1 minute", {
    seconds: 60,
    renewBefore: undefined,
    steps: [{ at: 0, offsetMs: 61_000 }],
  }],
  ["4 minutes behind with a lifetime of 10 minutes", {
    seconds: 600,
    renewBefore: undefined,
    steps: [{ at: 0, offsetMs: -240_000 }],
  }],
  ["9 minutes behind with a lifetime of 10 minutes", {
    seconds: 600,
    renewBefore: undefined,
    steps: [{ at: 0, offsetMs: -540_000 }],
  }],
  ["right, and renew-before longer than the lifetime", {
    seconds: defaultSeconds,
    renewBefore: 200 / 168,
    steps: [],
  }],
  ["right, and renew-before a second shorter than a lifetime of 1 minute", {
    seconds: 60,
    renewBefore: 59 / 60,
    steps: [],
  }],
];

for (const [name, schedule] of defects) {
  Deno.test(`a node whose clock is ${name} renews once for each lifetime, in time`, () =>
    follow(schedule));
}
