import assert from "node:assert/strict";
import { errorMessage } from "../../../src/shared/text/error_message.ts";

function fail(message: string): never {
  throw new Error(message);
}

Deno.test("the message of an error, of another value, and of an error whose clean-up failed too", async () => {
  assert.equal(errorMessage(new TypeError("no such volume")), "no such volume");
  assert.equal(errorMessage("stopped"), "stopped");
  const attempt = async () => {
    await using undo = new AsyncDisposableStack();
    undo.defer(() => fail("cannot unmount"));
    undo.defer(() => fail("cannot remove"));
    fail("the disk is full");
  };
  const error = await attempt().catch((error) => error);
  assert.equal(errorMessage(error), "the disk is full; then cannot remove; then cannot unmount");
});
