import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

Deno.test("a watch ends with its signal also when garbage was collected meanwhile", async () => {
  const child = fileURLToPath(new URL("collected_watch_child.ts", import.meta.url));
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--v8-flags=--expose-gc", child],
    stdin: "null",
    signal: AbortSignal.timeout(30_000),
  }).output();
  const [out, words] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  assert.equal(out, "aborted", words ?? "");
});
