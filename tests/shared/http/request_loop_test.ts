/** The loop where accepting fails; tests of the health endpoint show the rest of it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { type ConnectionListener, serveRequests } from "../../../src/shared/http/request_loop.ts";

const hostname = "127.0.0.1";
const plain = { contentType: "text/plain", body: "hello" };

function serveWith(listener: ConnectionListener, clock: FakeClock) {
  return serveRequests({
    listener,
    clock,
    maxBytes: 1_024,
    caps: { total: 16, perAddress: 8 },
    deadlineMs: 5_000,
    answer: () => ({ status: 200, ...plain }),
    reject: ({ status }) => ({ status, ...plain }),
  });
}

Deno.test("accepting pauses after it failed, and continues", async () => {
  const clock = new FakeClock();
  const inner = Deno.listen({ hostname, port: 0 });
  let failures = 0;
  const listener: ConnectionListener = {
    accept: () => ++failures <= 3 ? Promise.reject(new Error("EMFILE")) : inner.accept(),
    close: () => inner.close(),
  };
  await using _server = serveWith(listener, clock);
  await clock.until(() => clock.timers === 1);
  assert.equal(failures, 1);
  await clock.advance({ milliseconds: 99 });
  assert.equal(failures, 1);
  await clock.advance({ milliseconds: 201 });
  assert.equal(failures, 4);
  const response = await fetch(`http://${hostname}:${inner.addr.port}/`);
  assert.equal(await response.text(), "hello");
});

Deno.test("disposal does not wait for the end of a pause", async () => {
  const clock = new FakeClock();
  const server = serveWith({
    accept: () => Promise.reject(new Error("EMFILE")),
    close: () => {},
  }, clock);
  await clock.until(() => clock.timers === 1);
  await server[Symbol.asyncDispose]();
  assert.equal(clock.timers, 0);
});

Deno.test("connections that are reset before they are accepted do not make the next one wait", async () => {
  const clock = new FakeClock();
  const listener = Deno.listen({ hostname, port: 0 });
  const { port } = listener.addr;
  for (let count = 0; count < 50; count++) {
    const socket = connect(port, hostname).on("error", () => {});
    await once(socket, "connect");
    socket.resetAndDestroy();
  }
  // Only now does anything accept. The clock stands still, so that a pause would have no end.
  await using _server = serveWith(listener, clock);
  const response = await fetch(`http://${hostname}:${port}/`);
  assert.equal(await response.text(), "hello");
});
