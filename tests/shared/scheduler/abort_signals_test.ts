import assert from "node:assert/strict";
import { abortable, onAbort, pause } from "../../../src/shared/scheduler/abort_signals.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

Deno.test("a pause ends with its time, or with the signal, and keeps no timer", async () => {
  const clock = new FakeClock();
  let ended = 0;
  void pause(clock, 100, new AbortController().signal).then(() => ended++);
  await clock.advance({ milliseconds: 99 });
  assert.equal(ended, 0);
  await clock.advance({ milliseconds: 1 });
  assert.equal(ended, 1);
  const stop = new AbortController();
  const paused = pause(clock, 100, stop.signal);
  stop.abort();
  await paused;
  await pause(clock, 100, stop.signal);
  assert.equal(clock.timers, 0);
});

Deno.test("a promise that is abandoned by its signal rejects with the signal's reason, also when it fails later", async () => {
  const stop = new AbortController();
  const late = Promise.withResolvers<void>();
  const outcome = abortable(late.promise, stop.signal);
  stop.abort(new Error("stopped"));
  await assert.rejects(outcome, /stopped/);
  late.reject(new Error("too late"));
  await assert.rejects(abortable(Promise.resolve(), stop.signal), /stopped/);
});

Deno.test("an abort is reported once, at once when the signal is aborted already, and not after disposal", () => {
  const stop = new AbortController();
  let calls = 0;
  using _listening = onAbort(stop.signal, () => calls++);
  onAbort(stop.signal, () => calls++)[Symbol.dispose]();
  stop.abort();
  assert.equal(calls, 1);
  onAbort(stop.signal, () => calls++)[Symbol.dispose]();
  assert.equal(calls, 2);
});
