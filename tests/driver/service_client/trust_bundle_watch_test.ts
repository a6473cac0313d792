import assert from "node:assert/strict";
import { watchTrustBundle } from "../../../src/driver/service_client/trust_bundle_watch.ts";
import type { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import type { Client } from "../../../src/shared/grpc_client/client.ts";
import type { ClientIdentity } from "../../../src/shared/grpc_client/client_identity.ts";
import { waitUntilAborted } from "../../../src/shared/scheduler/abort_signals.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

/** A service that a test breaks, an identity that it replaces, and what the handler has received. */
function open(identity: ClientIdentity | undefined) {
  const clock = new FakeClock();
  const events: string[] = [];
  const listeners = new Set<() => void>();
  const state = { isAway: false, opened: 0, identity, isReportSlow: false };
  let next = Promise.withResolvers<void>();
  const queued: number[] = [];
  const client = {
    async *watchTrustBundle(_: unknown, { signal }: { signal: AbortSignal }) {
      state.opened++;
      if (state.isAway) throw new Error("connection refused");
      yield { certificates: [Uint8Array.of(state.opened)] };
      signal.addEventListener("abort", () => next.reject(new Error("cancelled")));
      for (;;) {
        for (const bundle of queued.splice(0)) yield { certificates: [Uint8Array.of(bundle)] };
        next = Promise.withResolvers();
        await next.promise;
      }
    },
  } as unknown as Client<typeof CertificateService>;
  const handler = {
    onConnected: async (signal: AbortSignal) => {
      events.push("connected");
      if (!state.isReportSlow) return;
      await waitUntilAborted(signal);
      events.push("report ended");
    },
    onBundle: ([bundle]: readonly Uint8Array[]) =>
      Promise.resolve(void events.push(`bundle ${bundle?.[0]}`)),
    onDisconnected: () => void events.push("disconnected"),
  };
  const stop = new AbortController();
  const wait = (ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const timer = clock.after(ms, resolve);
      signal.addEventListener("abort", () => {
        timer[Symbol.dispose]();
        resolve();
      });
    });
  const source = {
    current: () => state.identity,
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
  const options = { wait, random: () => 1, identity: source };
  const ended = watchTrustBundle(client, handler, options, stop.signal);
  return {
    clock,
    events,
    state,
    listeners,
    sendBundle: (bundle: number) => {
      queued.push(bundle);
      next.resolve();
    },
    breakStream: () => next.reject(new Error("broken")),
    replaceIdentity: () => {
      state.identity = { certificatePem: "", privateKeyPem: "" };
      for (const listener of [...listeners]) listener();
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
    },
  };
}

const some: ClientIdentity = { certificatePem: "", privateKeyPem: "" };

Deno.test("a replaced identity moves the watch at once, without an interruption", async () => {
  await using watch = open(some);
  await watch.clock.until(() => watch.events.length === 2);
  for (let renewal = 0; renewal < 3; renewal++) watch.replaceIdentity();
  await watch.clock.until(() => watch.events.length === 4);
  assert.deepEqual(watch.events, ["bundle 1", "connected", "bundle 2", "connected"]);
  assert.equal(watch.clock.timers, 0);
  assert.equal(watch.listeners.size, 1);
});

Deno.test("a broken stream is an interruption, and a new identity ends the pause after it", async () => {
  await using watch = open(some);
  await watch.clock.until(() => watch.events.length === 2);
  watch.state.isAway = true;
  watch.breakStream();
  await watch.clock.advance({ seconds: 40 });
  assert.deepEqual(watch.events.slice(2), ["disconnected", "disconnected"]);
  watch.state.isAway = false;
  watch.replaceIdentity();
  await watch.clock.until(() => watch.events.at(-1) === "connected");
  assert.equal(watch.state.opened, 3);
});

Deno.test("a report that takes as long as the stream keeps no bundle from the volumes, and ends with the stream", async () => {
  await using watch = open(some);
  watch.state.isReportSlow = true;
  await watch.clock.until(() => watch.events.length === 2);
  for (const bundle of [7, 8]) watch.sendBundle(bundle);
  await watch.clock.until(() => watch.events.length === 4);
  assert.deepEqual(watch.events, ["bundle 1", "connected", "bundle 7", "bundle 8"]);
  assert.equal(watch.state.opened, 1);
  watch.breakStream();
  await watch.clock.until(() => watch.events.length === 6);
  assert.deepEqual(watch.events.slice(4), ["disconnected", "report ended"]);
});

Deno.test("there is no stream before there is an identity, and that is no failure", async () => {
  await using watch = open(undefined);
  await watch.clock.advance({ minutes: 5 });
  assert.deepEqual([watch.state.opened, watch.events], [0, []]);
  watch.replaceIdentity();
  await watch.clock.until(() => watch.events.length === 2);
});

Deno.test("a watch that waits for an identity ends with its signal", async () => {
  const watch = open(undefined);
  await watch[Symbol.asyncDispose]();
  assert.equal(watch.listeners.size, 0);
});
