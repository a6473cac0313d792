import assert from "node:assert/strict";
import { minify } from "../../scripts/bundle.ts";

Deno.test("minifying keeps what `using` disposes, also where its variable is used once", async () => {
  const code = `
    globalThis.disposed = 0;
    function acquire() { return { [Symbol.dispose]() { globalThis.disposed++; } }; }
    export async function run(things) {
      for (const thing of things) {
        using lock = acquire();
        if (lock === undefined) continue;
        await thing;
      }
      return globalThis.disposed;
    }`;
  const { run } = await import(`data:text/javascript,${encodeURIComponent(await minify(code))}`);
  assert.equal(await run([1, 2, 3]), 3);
});
