import assert from "node:assert/strict";

Deno.test("callers that close their connections do not end the process", async () => {
  const child = new URL("closing_peer_child.ts", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", child],
    stderr: "piped",
  });
  const { code, signal, stderr } = await command.output();
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, new TextDecoder().decode(stderr));
});
