import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { PacedReading } from "../../../src/shared/grpc_server/paced_reading.ts";

/** A sixteenth of what is read in one turn. */
const chunkOctets = 4 * 1024;

/** Connections, and what was read of them in each turn. */
function paced(count: number) {
  const reading = new PacedReading();
  const turns: string[][] = [[]];
  const ended: number[] = [];
  const connections = Array.from({ length: count }, (_, index) => {
    const connection = new PassThrough();
    connection.on("data", (chunk: Buffer) => turns.at(-1)?.push(`${index}${chunk.at(0)}`));
    connection.on("end", () => ended.push(index));
    reading.follow(connection);
    return connection;
  });
  const pass = async (times: number) => {
    for (let n = 0; n < times; n++) {
      await turn();
      turns.push([]);
    }
  };
  return { connections, turns, ended, pass };
}

const chunk = (mark: number) => Buffer.alloc(chunkOctets, mark);

Deno.test("what many connections bring at once is read in parts, all of it, the first first", async () => {
  const { connections, turns, ended, pass } = paced(100);
  for (const connection of connections) connection.end(chunk(1));
  await pass(60);
  const most = Math.max(...turns.map((read) => read.length));
  // Sixteen in each; a turn as it is seen here may hold the end of one and the beginning of the next.
  assert.ok(most <= 32, `${most} in one turn`);
  assert.deepEqual(turns.flat(), connections.map((_, index) => `${index}1`));
  assert.deepEqual(ended, connections.map((_, index) => index));
});

Deno.test("what one connection brings keeps its order while others wait", async () => {
  const { connections, turns, pass } = paced(40);
  for (const mark of [1, 2, 3]) {
    for (const connection of connections) connection.write(chunk(mark));
    await pass(1);
  }
  await pass(60);
  const read = turns.flat();
  for (const [index] of connections.entries()) {
    const own = read.filter((text) => text.slice(0, -1) === `${index}`);
    assert.deepEqual(own, [1, 2, 3].map((mark) => `${index}${mark}`));
  }
});

Deno.test("a connection that always has more does not keep the others waiting", async () => {
  const { connections, turns, pass } = paced(10);
  const [greedy, ...others] = connections;
  for (let n = 0; n < 1_000; n++) greedy?.write(chunk(9));
  for (const connection of others) connection.write(chunk(1));
  await pass(20);
  const read = turns.flat();
  assert.equal(read.filter((text) => text.endsWith("1")).length, others.length);
  assert.ok(read.length < 1_000);
});

Deno.test("a connection that closes while it waits is forgotten, and harms nobody", async () => {
  const { connections, turns, pass } = paced(40);
  for (const connection of connections) connection.write(chunk(1));
  await pass(1);
  connections[39]?.destroy();
  await pass(20);
  const read = turns.flat();
  assert.ok(!read.includes("391"));
  assert.ok(read.includes("381"));
});

Deno.test("connections that bring little are read at once", async () => {
  const { connections, turns, pass } = paced(3);
  for (const mark of [1, 2]) {
    for (const connection of connections) connection.write(Buffer.of(mark));
    await pass(2);
  }
  assert.deepEqual(turns.filter((read) => read.length > 0), [
    ["01", "11", "21"],
    ["02", "12", "22"],
  ]);
});
