import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Writable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { gatherWrites } from "../../../src/shared/grpc/gathered_writes.ts";

function recorded() {
  const sent: string[] = [];
  const connection = new Writable({
    write(chunk: Buffer, _encoding, done) {
      sent.push(String(chunk));
      done();
    },
    writev(chunks, done) {
      sent.push(chunks.map(({ chunk }) => String(chunk)).join("+"));
      done();
    },
  });
  gatherWrites(connection);
  return { connection, sent };
}

Deno.test("what is written in one iteration of the event loop is sent as one write, in its order, and each write's callback is called", async () => {
  const { connection, sent } = recorded();
  const completed: string[] = [];
  for (const part of ["header", "message"]) connection.write(part, () => completed.push(part));
  assert.deepEqual(sent, []);
  await turn();
  await turn();
  assert.deepEqual(sent, ["header+message"]);
  assert.deepEqual(completed, ["header", "message"]);
  connection.write("trailer");
  await turn();
  assert.deepEqual(sent, ["header+message", "trailer"]);
});

Deno.test("what was written just before the end is not lost", async () => {
  const { connection, sent } = recorded();
  connection.write("message");
  connection.end("end");
  await turn();
  await turn();
  assert.equal(sent.join("+"), "message+end");
});

Deno.test("a connection that is destroyed before its writes are sent causes no error", async () => {
  const { connection, sent } = recorded();
  connection.write("message");
  connection.destroy();
  await turn();
  await turn();
  assert.deepEqual(sent, []);
});
