import assert from "node:assert/strict";
import type { TLSSocket } from "node:tls";
import { attest } from "../../../src/driver/service_client/attestation_client.ts";
import { NodeIdentity } from "../../../src/driver/service_client/node_identity.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import {
  driverFiles,
  nodeCertificate,
  requestOf,
  response,
  serveRaw,
  serverName,
} from "./attestation_endpoint.ts";

const flaps: readonly ((socket: TLSSocket) => void)[] = [
  (socket) => socket.destroy(),
  (socket) => socket.end(response(503, { error: "starting" }, ["Retry-After: 1"])),
  () => {}, // Never answers.
  (socket) => socket.end("HTTP/1.1 100 Continue\r\n\r\n"),
  (socket) => socket.end(response(429, { error: "busy" }, ["Retry-After: 2"])),
  (socket) => socket.end(response(200, { certificateChain: "nonsense" })),
  (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
];
const silent = new Set([flaps[2], flaps[6]]);

Deno.test("a service that flaps for a minute and then is honest attests the node within half a minute", async () => {
  const ca = await TestCa.create();
  const clock = new FakeClock();
  await using files = await driverFiles(ca);
  let isHonest = false;
  let flap = 0;
  await using endpoint = await serveRaw(await ca.issue(serverName), async (socket, text) => {
    const request = requestOf(text);
    if (request === undefined) return;
    if (isHonest) socket.end(response(200, await nodeCertificate(ca, request)));
    else flaps[flap++ % flaps.length]?.(socket);
  });
  let [running, started] = [0, 0];
  using identity = new NodeIdentity({
    clock,
    random: () => 0.5,
    attest: async (signal) => {
      running++;
      started++;
      const target = { hostname: "127.0.0.1", port: endpoint.port, serverName, ...files };
      return await attest(target, clock, signal).finally(() => running--);
    },
  });
  /** No attempt runs, or the one that runs waits for the rest of an answer that is never sent. */
  const isQuiet = () =>
    running === 0 ||
    (!isHonest && flap === started && silent.has(flaps[(flap - 1) % flaps.length]));
  void identity.start();
  for (let second = 0; second < 60; second++) {
    await clock.until(isQuiet);
    await clock.advance({ seconds: 1 });
  }
  assert.equal(identity.current(), undefined);
  assert.ok(flap >= 5 && flap < 20, `${flap}`);
  // An attempt that has begun may still meet the service as it was.
  while (running > 0) await clock.advance({ seconds: 1 });
  isHonest = true;
  for (let second = 0; second < 30; second++) {
    await clock.until(isQuiet);
    await clock.advance({ seconds: 1 });
  }
  assert.ok(identity.current() !== undefined);
  assert.equal(identity.problem, undefined);
});
