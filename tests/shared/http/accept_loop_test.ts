/** What the loop does at its end; tests of the request loop show how it continues after a failure. */
import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { acceptConnections } from "../../../src/shared/http/accept_loop.ts";

Deno.test("a connection that is accepted just before the end is closed and not delivered", async () => {
  const accepted = Promise.withResolvers<{ close(): void }>();
  const stop = new AbortController();
  const ended = acceptConnections({ accept: () => accepted.promise }, {
    clock: new FakeClock(),
    onConnection: () => assert.fail("delivered"),
  }, stop.signal);
  let closed = 0;
  accepted.resolve({ close: () => closed++ });
  stop.abort();
  await ended;
  assert.equal(closed, 1);
});

Deno.test("the end of a listener that is closed after the abort is no problem", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const stop = new AbortController();
  const ended = acceptConnections(listener, {
    clock: new FakeClock(),
    onConnection: (connection) => connection.close(),
    onProblem: (problem) => assert.fail(problem),
  }, stop.signal);
  stop.abort();
  listener.close();
  await ended;
});
