import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import type { AttestationOutcome } from "../../../src/driver/service_client/attestation_client.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TestCa, type TestPair } from "../../../scripts/support/test_ca.ts";
import {
  attempt,
  type RawEndpoint,
  reasonOf,
  requestOf,
  serveRaw,
  serverName,
} from "./attestation_endpoint.ts";

Deno.test("a server that is not the service never sees the token", async () => {
  const [ca, foreign] = [await TestCa.create(), await TestCa.create("Foreign CA")];
  const broken = "\n-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  const pod = await ca.issue("web-0.shop.pod.cluster.local");
  const impostors: [TestPair, Parameters<typeof serveRaw>[2], RegExp][] = [
    [await foreign.issue(serverName), {}, /the trust bundle does not verify its certificate/],
    [pod, {}, /bears another name/],
    [await ca.issue("127.0.0.1"), {}, /bears another name/],
    [{ ...pod, certificatePem: pod.certificatePem + broken }, {}, /./],
    [await ca.issue(serverName), { maxVersion: "TLSv1.2" }, /ProtocolVersion/],
    [await ca.issue(serverName), { ALPNProtocols: ["h2"] }, /NoApplicationProtocol/],
    [await ca.issue(serverName), { ALPNProtocols: [] }, /does not speak HTTP\/1\.1/],
  ];
  for (const [pair, options, reason] of impostors) {
    await using endpoint = await serveRaw(pair, () => {}, options);
    const outcome = await attempt({ ca, port: endpoint.port });
    assert.equal(outcome.kind, "unavailable");
    assert.match(reasonOf(outcome), reason);
    assert.equal(endpoint.received.join(""), "");
    assert.equal(endpoint.accepted, 1);
  }
});

Deno.test("the environment cannot make the driver trust another server", async () => {
  const [ca, foreign] = [await TestCa.create(), await TestCa.create("Foreign CA")];
  const before = Deno.env.get("NODE_TLS_REJECT_UNAUTHORIZED");
  Deno.env.set("NODE_TLS_REJECT_UNAUTHORIZED", "0");
  try {
    await using endpoint = await serveRaw(await foreign.issue(serverName), () => {});
    assert.equal((await attempt({ ca, port: endpoint.port })).kind, "unavailable");
    assert.equal(endpoint.received.join(""), "");
  } finally {
    if (before === undefined) Deno.env.delete("NODE_TLS_REJECT_UNAUTHORIZED");
    else Deno.env.set("NODE_TLS_REJECT_UNAUTHORIZED", before);
  }
});

const rude: Record<string, (socket: Parameters<Parameters<typeof serveRaw>[1]>[0]) => void> = {
  "interim responses without an end": (socket) => {
    const more = () =>
      socket.writable && socket.write("HTTP/1.1 100 Continue\r\n\r\n".repeat(9), more);
    more();
  },
  "100 MB of body": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    flood(socket);
  },
  "100 MB of headers": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nA: ");
    flood(socket);
  },
  "100 MB of body that was announced": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    flood(socket);
  },
  "garbage": (socket) => socket.write(crypto.getRandomValues(new Uint8Array(20_000))),
  "a response in chunks": (socket) =>
    socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
  "an end without a word": (socket) => socket.end(),
  "a cut": (socket) => socket.destroy(),
  "half a response": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
};

const megabyte = new Uint8Array(1024 * 1024).fill(97);
/** Written by all floods; what the other side's buffers take counts as well. */
let flooded = 0;

function flood(socket: Parameters<Parameters<typeof serveRaw>[1]>[0], left = 100): void {
  if (left === 0 || socket.destroyed) return;
  socket.write(megabyte, (error) => {
    if (error) return;
    flooded += megabyte.length;
    flood(socket, left - 1);
  });
}

for (const [what, answer] of Object.entries(rude)) {
  for (const atOnce of [false, true]) {
    const when = atOnce ? "before the request" : "as the answer";
    Deno.test(`${what} ${when} ends the attempt at once, and the connection`, async () => {
      const ca = await TestCa.create();
      flooded = 0;
      let isAnswered = false;
      await using endpoint: RawEndpoint = await serveRaw(
        await ca.issue(serverName),
        (socket, text) => {
          if (isAnswered || (!atOnce && requestOf(text) === undefined)) return;
          isAnswered = true;
          answer(socket);
        },
        { atOnce },
      );
      const clock = new FakeClock();
      const outcome = await attempt({ ca, port: endpoint.port, clock });
      assert.equal(outcome.kind, "unavailable");
      await clock.until(() => endpoint.open.size === 0);
      assert.ok(flooded < 32 * 1024 * 1024, `${flooded}`);
      assert.equal(clock.timers, 0);
    });
  }
}

/** A TCP server that accepts and is silent. */
async function serveSilence() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    sockets,
    port: (server.address() as { port: number }).port,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

Deno.test("an endpoint that never answers is given up after 5 s", async () => {
  const ca = await TestCa.create();
  await using silent = await serveRaw(await ca.issue(serverName), () => {});
  await using mute = await serveSilence();
  const reached = [() => silent.received.join("").length > 100, () => mute.sockets.size > 0];
  for (const [index, port] of [silent.port, mute.port].entries()) {
    const clock = new FakeClock();
    let outcome: AttestationOutcome | undefined;
    const ended = attempt({ ca, port, clock }).then((each) => outcome = each);
    await clock.until(reached[index]!);
    await clock.advance({ milliseconds: 4_999 });
    assert.equal(outcome, undefined);
    await clock.advance({ milliseconds: 1 });
    assert.match(reasonOf(await ended), /there was no answer within 5 s/);
  }
  await new FakeClock().until(() => silent.open.size === 0);
});

Deno.test("an answer that drips is cut after 5 s in all", async () => {
  const ca = await TestCa.create();
  const clock = new FakeClock();
  await using endpoint = await serveRaw(await ca.issue(serverName), (socket, text) => {
    if (requestOf(text) === undefined) return;
    socket.write("HTTP/1.1 200 OK\r\nA: ");
    const drip = () => clock.after(100, () => socket.writable && socket.write("b", drip));
    drip();
  });
  let outcome: AttestationOutcome | undefined;
  const ended = attempt({ ca, port: endpoint.port, clock }).then((each) => outcome = each);
  await clock.until(() => endpoint.received.join("").length > 100);
  while (outcome === undefined) await clock.advance({ milliseconds: 100 });
  assert.match(reasonOf(await ended), /there was no answer within 5 s/);
});

Deno.test("an aborted attempt rejects and closes its connection", async () => {
  const ca = await TestCa.create();
  await using endpoint = await serveRaw(await ca.issue(serverName), () => {});
  const stop = new AbortController();
  const clock = new FakeClock();
  const ended = attempt({ ca, port: endpoint.port, clock, signal: stop.signal });
  const rejected = assert.rejects(ended, /stopping/);
  await clock.until(() => endpoint.received.join("").length > 100);
  stop.abort(new Error("stopping"));
  await rejected;
  await clock.until(() => endpoint.open.size === 0);
  assert.equal(clock.timers, 0);
});
