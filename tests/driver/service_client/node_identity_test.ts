import assert from "node:assert/strict";
import type { AttestationOutcome } from "../../../src/driver/service_client/attestation_client.ts";
import { NodeIdentity } from "../../../src/driver/service_client/node_identity.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

const hourMs = 3_600_000;
const unavailable: AttestationOutcome = { kind: "unavailable", reason: "connection refused" };
const refused: AttestationOutcome = { kind: "refused", reason: "the pod is gone" };
const waiting: AttestationOutcome = { kind: "waiting", reason: "the token file does not exist" };

/** A node's identity whose attestations a test answers; `at` has their instants in seconds from the start. */
function open(random: () => number = () => 0.5) {
  const clock = new FakeClock();
  const start = clock.now();
  const at: number[] = [];
  let number = 0;
  const state = {
    /** What the next attempts lead to; an identity of an hour unless a test says otherwise. */
    answer: undefined as AttestationOutcome | undefined,
    changes: 0,
  };
  const identity = new NodeIdentity({
    clock,
    random,
    attest: () => {
      at.push(clock.now().since(start).total("seconds"));
      return Promise.resolve(state.answer ?? issued(++number));
    },
  });
  identity.onChange(() => state.changes++);
  return { clock, identity, at, state, [Symbol.dispose]: () => identity[Symbol.dispose]() };
}

function issued(number: number, lifetimeMs = hourMs): AttestationOutcome {
  const [certificatePem, privateKeyPem] = [`certificate ${number}`, `key ${number}`];
  return { kind: "identity", certificatePem, privateKeyPem, lifetimeMs };
}

Deno.test("a node attests at its start and at about two thirds of each certificate's life", async () => {
  for (const chance of [0, 1]) {
    using node = open(() => chance);
    await node.identity.start();
    assert.equal(node.identity.current()?.certificatePem, "certificate 1");
    assert.equal(node.identity.problem, undefined);
    await node.clock.advance({ hours: 2 });
    const [, first = 0, second = 0] = node.at;
    assert.ok(first >= 2_280 && first <= 2_400, `${first}`);
    assert.ok(second - first >= 2_280 && second - first <= 2_400, `${second}`);
    assert.equal(node.state.changes, 4);
  }
});

Deno.test("steps of the wall clock neither hasten nor delay a renewal", async () => {
  using node = open(() => 0);
  await node.identity.start();
  const renewals: number[] = [];
  node.identity.onChange(() => renewals.push(1));
  node.clock.set(node.clock.now().add({ hours: 24 }));
  await node.clock.advance({ minutes: 39 });
  node.clock.set(node.clock.now().subtract({ hours: 72 }));
  assert.equal(renewals.length, 0);
  await node.clock.advance({ minutes: 1 });
  assert.equal(renewals.length, 1);
});

Deno.test("each identity says when it is about to expire", async () => {
  using node = open(() => 0);
  await node.identity.start();
  const first = node.identity.current()?.expiring;
  await node.clock.advance({ minutes: 59, seconds: 29 });
  assert.equal(first?.aborted, false);
  assert.notEqual(node.identity.current()?.expiring, first);
  await node.clock.advance({ seconds: 1 });
  assert.equal(first?.aborted, true);
  assert.equal(node.identity.current()?.expiring?.aborted, false);
});

Deno.test("the last identity remains in use while attestation fails, which is tried less and less often", async () => {
  using node = open(() => 0);
  await node.identity.start();
  node.state.answer = unavailable;
  await node.clock.advance({ minutes: 59 });
  assert.equal(node.identity.current()?.certificatePem, "certificate 1");
  assert.equal(node.identity.problem, "connection refused");
  const pauses = node.at.slice(2).map((at, index) => at - node.at[index + 1]!);
  assert.deepEqual(pauses.slice(0, 6), [30, 60, 120, 150, 150, 150]);
  node.state.answer = undefined;
  await node.clock.advance({ minutes: 5 });
  assert.equal(node.identity.current()?.certificatePem, "certificate 2");
  assert.equal(node.identity.problem, undefined);
});

Deno.test("a node without an identity tries soon, and a refused one with pauses", async () => {
  const pauses = async (answer: AttestationOutcome, minutes: number) => {
    using node = open(() => 1);
    node.state.answer = answer;
    await node.identity.start();
    assert.equal(node.identity.current(), undefined);
    await node.clock.advance({ minutes });
    return node.at.slice(1).map((at, index) => at - node.at[index]!);
  };
  assert.deepEqual((await pauses(unavailable, 3)).slice(0, 7), [1, 2, 4, 8, 16, 30, 30]);
  assert.deepEqual((await pauses(refused, 20)).slice(0, 5), [60, 120, 240, 300, 300]);
  assert.deepEqual((await pauses(waiting, 1)).slice(0, 3), [2, 2, 2]);
  const overloaded = { kind: "overloaded", reason: "busy", retryAfterMs: 20_000 } as const;
  assert.deepEqual((await pauses(overloaded, 2)).slice(0, 2), [20, 20]);
  const absurd = { ...overloaded, retryAfterMs: 99_000_000 };
  assert.deepEqual((await pauses(absurd, 20)).slice(0, 2), [300, 300]);
});

Deno.test("a missing file is waited for and named", async () => {
  using node = open();
  node.state.answer = waiting;
  await node.identity.start();
  assert.equal(node.identity.problem, "the token file does not exist");
  node.state.answer = undefined;
  await node.clock.advance({ seconds: 2 });
  assert.equal(node.identity.problem, undefined);
  assert.equal(node.state.changes, 1);
});

/** The watch as the driver runs it: an attempt to connect every so often, which finds no connection. */
async function withoutConnection(node: ReturnType<typeof open>, seconds: number, everySeconds = 5) {
  for (let second = 0; second < seconds; second += everySeconds) {
    node.identity.report("unreachable");
    await node.clock.advance({ seconds: everySeconds });
  }
}

Deno.test("after 10 s without a connection the node attests again, within 20 s", async () => {
  for (const chance of [0, 0.999]) {
    using node = open(() => chance);
    await node.identity.start();
    await node.clock.advance({ minutes: 2 });
    await withoutConnection(node, 10);
    await withoutConnection(node, 25);
    assert.equal(node.at.length, 2);
    const [, again = 0] = node.at;
    assert.ok(again >= 130 && again <= 150, `${again}`);
    assert.equal(node.identity.current()?.certificatePem, "certificate 2");
  }
});

Deno.test("a short outage is no reason to attest", async () => {
  using node = open();
  await node.identity.start();
  await node.clock.advance({ minutes: 2 });
  for (let outage = 0; outage < 20; outage++) {
    await withoutConnection(node, 9, 3);
    node.identity.report("answered");
    await node.clock.advance({ seconds: 1 });
  }
  // A connection that is lost once and then found says nothing either, however late it is found.
  node.identity.report("unreachable");
  await node.clock.advance({ minutes: 2 });
  node.identity.report("answered");
  await node.clock.advance({ minutes: 2 });
  assert.equal(node.at.length, 1);
});

Deno.test("a connection that returns cancels the attestation that was planned", async () => {
  using node = open(() => 0.999);
  await node.identity.start();
  await node.clock.advance({ minutes: 2 });
  await withoutConnection(node, 20);
  node.identity.report("answered");
  await node.clock.advance({ minutes: 5 });
  assert.equal(node.at.length, 1);
});

Deno.test("an identity that is not accepted is replaced within 10 s", async () => {
  using node = open();
  await node.identity.start();
  await node.clock.advance({ minutes: 2 });
  for (let call = 0; call < 50; call++) node.identity.report("unauthenticated");
  await node.clock.advance({ seconds: 10 });
  assert.equal(node.at.length, 2);
  assert.equal(node.identity.current()?.certificatePem, "certificate 2");
});

Deno.test("a service that accepts no identity is called at most every 30 s, and in the end every 5 minutes", async () => {
  for (const observation of ["unauthenticated", "unreachable"] as const) {
    using node = open(() => 0);
    await node.identity.start();
    // Below two thirds of an hour, so that no renewal is among them.
    for (let second = 0; second < 2_200; second++) {
      node.identity.report(observation);
      await node.clock.advance({ seconds: 1 });
    }
    const pauses = node.at.slice(1).map((at, index) => Math.floor(at - node.at[index]!));
    assert.ok(pauses.every((pause) => pause >= 30), `${pauses}`);
    assert.ok(pauses.slice(5).every((pause) => pause >= 300 && pause <= 302), `${pauses}`);
    assert.ok(node.at.length >= 7 && node.at.length <= 11, `${node.at}`);
  }
});

Deno.test("drivers whose connections are cut together attest spread over a minute", async () => {
  const at: number[] = [];
  for (let driver = 0; driver < 200; driver++) {
    let seed = driver * 7919 + 1;
    const random = () => (seed = seed * 48271 % 2147483647) / 2147483647;
    random();
    using node = open(random);
    await node.identity.start();
    await node.clock.advance({ minutes: 2 });
    // The pauses of the trust bundle watch.
    for (let pauseMs = 0, sum = 0; sum < 90_000; sum += pauseMs) {
      node.identity.report("unreachable");
      pauseMs = Math.round(500 + random() * 30_000);
      await node.clock.advance({ milliseconds: pauseMs });
    }
    at.push((node.at[1] ?? 999) - 120);
  }
  at.sort((a, b) => a - b);
  const busiest = Math.max(...at.map((from) => at.filter((s) => s >= from && s < from + 1).length));
  assert.ok(at[0]! >= 10 && at.at(-1)! <= 75, `${at[0]} to ${at.at(-1)}`);
  assert.ok(busiest <= 15, `${busiest} of 200 in one second`);
});

Deno.test("a service that flaps for a minute and then is honest has every node back soon", async () => {
  const flaps: AttestationOutcome[] = [
    unavailable,
    refused,
    { kind: "overloaded", reason: "busy", retryAfterMs: 1_000 },
    unavailable,
  ];
  using node = open();
  let flap = 0;
  node.state.answer = flaps[0];
  await node.identity.start();
  for (let second = 0; second < 60; second++) {
    node.state.answer = flaps[flap++ % flaps.length];
    node.identity.report(second % 3 === 0 ? "answered" : "unreachable");
    await node.clock.advance({ seconds: 1 });
  }
  node.state.answer = undefined;
  await node.clock.advance({ minutes: 5 });
  assert.ok(node.identity.current() !== undefined);
  assert.equal(node.identity.problem, undefined);
  assert.ok(node.at.length < 20, `${node.at.length}`);
});

Deno.test("a problem that a connection has disproved is not stated any longer", async () => {
  using node = open(() => 0);
  await node.identity.start();
  node.state.answer = unavailable;
  await node.clock.advance({ minutes: 2 });
  await withoutConnection(node, 30);
  assert.equal(node.identity.problem, "connection refused");
  node.identity.report("answered");
  assert.equal(node.identity.problem, undefined);
  await node.clock.advance({ minutes: 5 });
  assert.equal(node.at.length, 2);
});

Deno.test("a disposed identity leaves no timer and ends its attempt", async () => {
  const clock = new FakeClock();
  let aborted = false;
  const identity = new NodeIdentity({
    clock,
    random: () => 0.5,
    attest: (signal) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          aborted = true;
          reject(signal.reason);
        })
      ),
  });
  const started = identity.start();
  identity[Symbol.dispose]();
  await started;
  assert.equal(aborted, true);
  assert.equal(clock.timers, 0);
  using node = open();
  await node.identity.start();
  node.identity.report("unreachable");
  node.identity.report("unauthenticated");
  node.identity[Symbol.dispose]();
  assert.equal(node.clock.timers, 0);
});
