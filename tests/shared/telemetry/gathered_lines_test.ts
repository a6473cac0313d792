import assert from "node:assert/strict";
import fc from "fast-check";
import { gatherLines } from "../../../src/shared/telemetry/gathered_lines.ts";

function recorded() {
  const written: string[] = [];
  return { ...gatherLines((text) => void written.push(text)), written };
}

Deno.test("lines that come one upon another are written as one text, in their order, once", async () => {
  const { add, written } = recorded();
  for (const line of ["first", "second"]) add(line);
  assert.deepEqual(written, []);
  await Promise.resolve();
  assert.deepEqual(written, ["first\nsecond\n"]);
  add("third");
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(written, ["first\nsecond\n", "third\n"]);
});

Deno.test("a flush writes at once, and what follows is written like anything", async () => {
  const { add, flush, written } = recorded();
  flush();
  add("first");
  flush();
  assert.deepEqual(written, ["first\n"]);
  add("second");
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(written, ["first\n", "second\n"]);
});

Deno.test("a write that throws takes no line of later ones with it", () => {
  const written: string[] = [];
  const { add, flush } = gatherLines((text) => {
    written.push(text);
    if (written.length === 1) throw new Error("the reader is gone");
  });
  add("first");
  assert.throws(flush, /the reader is gone/);
  add("second");
  flush();
  assert.deepEqual(written, ["first\n", "second\n"]);
});

/** What a call may wait for before its line. */
const waits: Record<string, () => Promise<unknown>> = {
  turn: () => new Promise((resolve) => void setImmediate(resolve)),
  tick: () => Promise.resolve(),
};

Deno.test("whoever awaits the function that added a line finds it written, whatever runs beside it", async () => {
  const wait = fc.constantFrom(...Object.keys(waits));
  const calls = fc.array(
    fc.record({ before: fc.array(wait, { maxLength: 4 }), fails: fc.boolean() }),
    { minLength: 1, maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(calls, async (calls) => {
      const { add, written } = recorded();
      const audited = async (line: string, before: string[], fails: boolean) => {
        for (const name of before) await waits[name]!();
        add(line);
        if (fails) throw new Error(line);
        return line;
      };
      await Promise.all(calls.map(async ({ before, fails }, n) => {
        const line = `call ${n};`;
        await audited(line, before, fails).catch(() => {});
        assert.ok(written.join("").includes(line), `${line} was answered before it was written`);
      }));
      assert.equal(written.join("").split("\n").length - 1, calls.length);
    }),
    { numRuns: 200 },
  );
});

Deno.test("a stream's line is written before its first answer", async () => {
  const { add, written } = recorded();
  async function* answers() {
    add("list");
    yield 1;
  }
  for await (const _answer of answers()) assert.deepEqual(written, ["list\n"]);
});
