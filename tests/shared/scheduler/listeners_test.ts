import assert from "node:assert/strict";
import { changes, Listeners } from "../../../src/shared/scheduler/listeners.ts";

Deno.test("a listener is called after each change until it is disposed, and another one is not removed with it", () => {
  const listeners = new Listeners();
  const calls: string[] = [];
  const listener = () => void calls.push("first");
  const first = listeners.add(listener);
  using _same = listeners.add(listener);
  listeners.call();
  first[Symbol.dispose]();
  listeners.call();
  assert.equal(calls.length, 3);
});

Deno.test("a listener that is added during a call is first called at the next one", () => {
  const listeners = new Listeners();
  let calls = 0;
  listeners.add(() => listeners.add(() => calls++));
  listeners.call();
  assert.equal(calls, 0);
  listeners.call();
  assert.equal(calls, 1);
});

function followed() {
  const stop = new AbortController();
  const active = new Set<() => void>();
  const onChange = (listener: () => void) => {
    active.add(listener);
    return { [Symbol.dispose]: () => void active.delete(listener) };
  };
  const iterator = changes(onChange, stop.signal);
  return { stop, active, iterator, change: () => active.forEach((listener) => listener()) };
}

Deno.test("changes are yielded at once and after each change, and those that come meanwhile are one", async () => {
  const { iterator, change, stop } = followed();
  assert.equal((await iterator.next()).done, false);
  change();
  change();
  assert.equal((await iterator.next()).done, false);
  const third = iterator.next();
  change();
  assert.equal((await third).done, false);
  stop.abort();
  assert.equal((await iterator.next()).done, true);
});

Deno.test("changes end when the signal is aborted or the caller leaves, and no listener remains", async () => {
  const aborted = followed();
  await aborted.iterator.next();
  const waiting = aborted.iterator.next();
  aborted.stop.abort();
  assert.equal((await waiting).done, true);
  assert.equal(aborted.active.size, 0);
  const left = followed();
  await left.iterator.next();
  await left.iterator.return(undefined);
  assert.equal(left.active.size, 0);
});
