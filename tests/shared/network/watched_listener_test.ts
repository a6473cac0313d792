import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, Server, Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { FakeClock, turn } from "../../../scripts/support/fake_clock.ts";
import { TextLineStream } from "../../../scripts/support/text_line_stream.ts";
import { WatchedListener } from "../../../src/shared/network/watched_listener.ts";

const child = fileURLToPath(new URL("watched_listener_child.ts", import.meta.url));

function open(port: number): Socket {
  return connect(port, "127.0.0.1").on("error", () => {});
}

async function listening() {
  const clock = new FakeClock();
  const sockets: Socket[] = [];
  const problems: string[] = [];
  const listener = new WatchedListener({
    clock,
    onConnection: (socket) => sockets.push(socket),
    onProblem: (problem) => problems.push(problem),
  });
  const port = await listener.listen({ hostname: "127.0.0.1", port: 0 });
  return { clock, sockets, problems, listener, port };
}

Deno.test("a listener that ran out of file descriptors accepts again once there are some", async () => {
  const command = `ulimit -n 48 && exec "$0" run --quiet --no-check -A "$1"`;
  await using process = new Deno.Command("sh", {
    args: ["-c", command, Deno.execPath(), child],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextLineStream()).getReader();
  const next = async () => (await lines.read()).value ?? "";
  const port = Number((await next()).replace("port ", ""));
  const taken = Array.from({ length: 100 }, () => open(port));
  await Promise.all(taken.map((socket) => once(socket, "connect")));
  for (const socket of taken) socket.destroy();
  // What the stuck listener left with the kernel is not accepted, so one attempt does not show it.
  const received = next();
  let isReceived = false;
  received.then(() => isReceived = true);
  const io = new FakeClock();
  while (!isReceived) {
    const socket = open(port);
    socket.once("connect", () => socket.write("hello\n"));
    await Promise.race([received, once(socket, "close"), io.until(() => isReceived, 20_000)])
      .catch(() => {});
    socket.destroy();
  }
  assert.match(await received, /^received hello/);
  await lines.cancel();
});

Deno.test("probes are not passed on, and end with the listener", async () => {
  const { clock, sockets, problems, listener, port } = await listening();
  for (let round = 1; round <= 3; round++) {
    await clock.advance({ seconds: 30 });
    // It is accepted after the probe, which has connected before it.
    const client = open(port);
    await clock.until(() => sockets.length === round);
    client.destroy();
  }
  listener.close();
  assert.deepEqual(problems, []);
  await clock.until(() => clock.timers === 0);
});

Deno.test("a connection that is reset while a probe connects is no error, and is not passed on", async () => {
  const clock = new FakeClock();
  const listener = new WatchedListener({
    clock,
    onConnection: () => assert.fail("passed on"),
    onProblem: (problem) => assert.fail(problem),
  });
  const port = await listener.listen({ hostname: "127.0.0.1", port: 0 });
  const { connect: connectNow } = Socket.prototype;
  const probe = Promise.withResolvers<() => void>();
  Socket.prototype.connect = function (this: Socket, ...args: unknown[]) {
    probe.resolve(() => Reflect.apply(connectNow, this, args));
    return this;
  };
  await clock.advance({ seconds: 30 });
  const connectProbe = await probe.promise;
  Socket.prototype.connect = connectNow;
  const client = open(port);
  client.once("connect", () => client.resetAndDestroy());
  await once(client, "close");
  // The listener accepts the connection in these turns, and reads the reset.
  for (let turns = 0; turns < 50; turns++) await turn();
  connectProbe();
  // The probe has ended, and the next one waits.
  await clock.until(() => clock.timers === 1);
  listener.close();
});

Deno.test("a listener that could not listen again tries once more", async () => {
  const { clock, sockets, problems, listener, port } = await listening();
  const { listen } = Server.prototype;
  Server.prototype.listen = function (this: Server) {
    setImmediate(() => this.emit("error", new Error("too many open files")));
    return this;
  };
  // The 5 seconds of a probe pass before it is accepted.
  while (problems.length === 0) await clock.advance({ seconds: 35 });
  await clock.until(() => problems.length === 2);
  Server.prototype.listen = listen;
  assert.deepEqual(problems, [
    `port ${port} accepted no connection, so it listens again`,
    `cannot listen again on port ${port}: too many open files`,
  ]);
  await clock.advance({ seconds: 30 });
  const client = open(port);
  await once(client, "connect");
  await clock.until(() => sockets.length === 1);
  client.destroy();
  listener.close();
});

Deno.test("a listener on all addresses is probed over IPv4 where the machine has no IPv6 address", async () => {
  const clock = new FakeClock();
  const listener = new WatchedListener({
    clock,
    onConnection: () => assert.fail("passed on"),
    onProblem: (problem) => assert.fail(problem),
  });
  await listener.listen({ hostname: "::", port: 0 });
  const { connect: connectNow } = Socket.prototype;
  using restoring = new DisposableStack();
  restoring.defer(() => void (Socket.prototype.connect = connectNow));
  const hosts: unknown[] = [];
  Socket.prototype.connect = function (this: Socket, ...args: unknown[]) {
    const { host } = [args].flat(2).find((one) => typeof one === "object") as { host?: string };
    hosts.push(host);
    if (host !== "::1") return Reflect.apply(connectNow, this, args);
    setImmediate(() => this.emit("error", new Error("address not available")));
    return this;
  };
  await clock.advance({ seconds: 30 });
  await clock.until(() => hosts.length === 2);
  restoring.dispose();
  assert.deepEqual(hosts, ["::1", "127.0.0.1"]);
  // The probe has ended, and the next one waits.
  await clock.until(() => clock.timers === 1);
  listener.close();
});
