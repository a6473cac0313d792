import assert from "node:assert/strict";
import { watchTextFile } from "../../../src/service/documents/watched_file.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

/** A watch whose handler throws the errors that a test has added, one for each call. */
function watched(first: string | undefined = "one") {
  const clock = new FakeClock();
  const scheduler = new Scheduler({ clock });
  const file: { text: string | Error } = { text: first ?? "" };
  const failures: Error[] = [];
  const [handled, problems]: [string[], string[]] = [[], []];
  const watch = watchTextFile({
    key: "file",
    scheduler,
    clock,
    first,
    read: () => file.text instanceof Error ? Promise.reject(file.text) : Promise.resolve(file.text),
    onChange: (text) => {
      handled.push(text);
      const failure = failures.shift();
      return failure ? Promise.reject(failure) : Promise.resolve();
    },
    onError: (problem) => void problems.push(problem),
  });
  return {
    clock,
    file,
    failures,
    handled,
    problems,
    watch,
    poll: () => clock.advance({ seconds: 10 }),
    [Symbol.asyncDispose]: () => scheduler[Symbol.asyncDispose](),
  };
}

Deno.test("a text whose handler threw is handled again at each poll until it does not", async () => {
  await using one = watched();
  one.failures.push(new Error("busy"), new Error("busy"), new Error("full"));
  one.file.text = "two";
  for (let polls = 0; polls < 6; polls++) await one.poll();
  assert.deepEqual(one.handled, ["two", "two", "two", "two"]);
  assert.deepEqual(one.problems, ["busy", "full"]);
});

Deno.test("a text that returns to the former one, after its handler threw, is handled too", async () => {
  await using one = watched();
  one.failures.push(new Error("busy"));
  one.file.text = "two";
  await one.poll();
  one.file.text = "one";
  await one.poll();
  assert.deepEqual(one.handled, ["two", "one"]);
});

Deno.test("a handler that was interrupted by the end of the watch is not called again", async () => {
  await using one = watched();
  one.failures.push(new Error("busy"));
  one.file.text = "two";
  await one.poll();
  await one.watch[Symbol.asyncDispose]();
  await one.clock.advance({ minutes: 1 });
  assert.deepEqual(one.handled, ["two"]);
});

Deno.test("a text that is read again on request is handled although it is the same", async () => {
  await using one = watched();
  one.file.text = "one";
  one.watch.readAgain();
  await one.clock.until(() => one.handled.length === 1);
  await one.poll();
  assert.deepEqual(one.handled, ["one"]);
  await one.watch[Symbol.asyncDispose]();
  one.watch.readAgain();
  await one.poll();
  assert.deepEqual(one.handled, ["one"]);
});
