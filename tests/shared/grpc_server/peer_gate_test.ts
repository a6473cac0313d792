import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate as turn } from "node:timers/promises";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import type { PeerDecision } from "../../../src/shared/grpc_server/peer_verifier.ts";
import { closed, gatedServer } from "../../support/gated_server.ts";

const isUnavailable = (error: unknown) =>
  error instanceof RpcError && error.code === status.UNAVAILABLE;

const accepted = (clock: FakeClock, hours = 1): PeerDecision => ({
  kind: "accepted",
  owner: "node-1",
  expiresAt: clock.now().add({ hours }),
});
const rejected: PeerDecision = { kind: "rejected", reason: "the node is revoked" };

Deno.test("a connection is closed when its certificate expires", async () => {
  const clock = new FakeClock();
  await using served = await gatedServer({ clock });
  served.peers.decide = () => accepted(clock);
  const socket = await served.openSession();
  await clock.advance({ minutes: 59 });
  assert.deepEqual([socket.destroyed, served.server.connections.authenticated], [false, 1]);
  await clock.advance({ minutes: 1 });
  await closed(socket);
  assert.deepEqual([served.refusals, served.server.connections.authenticated], [["expired"], 0]);
});

Deno.test("a call that begins after the certificate has expired is not answered", async () => {
  const clock = new FakeClock();
  await using served = await gatedServer({ clock });
  served.peers.decide = () => accepted(clock);
  using client = served.connect();
  await client.reportCertificates({});
  // The wall clock steps, so that no timer fires.
  clock.set(clock.now().add({ hours: 2 }));
  await assert.rejects(client.reportCertificates({}), isUnavailable);
  assert.equal(served.refusals[0], "expired");
});

Deno.test("a certificate that has expired already is rejected", async () => {
  const clock = new FakeClock();
  await using served = await gatedServer({ clock });
  served.peers.decide = () => accepted(clock, 0);
  await closed(await served.openTls());
  assert.deepEqual(served.refusals, ["peer"]);
});

Deno.test("open connections are verified again after a change, and those that are rejected are closed", async () => {
  await using served = await gatedServer();
  const { decide } = served.peers;
  const leaves: Uint8Array[] = [];
  served.peers.decide = (leaf) => {
    leaves.push(leaf);
    return decide(leaf);
  };
  const first = await served.openSession();
  const [revoked] = leaves;
  const other = await served.ca.issue("spiffe://cluster.local/csi-cert-node/node-2");
  using second = served.connect(other);
  await second.reportCertificates({});
  served.peers.change((leaf) => Buffer.from(leaf).equals(revoked!) ? rejected : decide(leaf));
  await closed(first);
  await second.reportCertificates({});
  assert.deepEqual([served.refusals, served.server.connections.authenticated], [["rejected"], 1]);
});

Deno.test("a connection that is accepted again after a change remains", async () => {
  await using served = await gatedServer();
  using client = served.connect();
  await client.reportCertificates({});
  served.peers.change(served.peers.decide);
  await client.reportCertificates({});
  assert.deepEqual([served.peers.verified, served.refusals], [2, []]);
});

Deno.test("a call that begins during a verification waits for its result", async () => {
  await using served = await gatedServer();
  const { decide } = served.peers;
  using client = served.connect();
  await client.reportCertificates({});
  for (const isAccepted of [true, false]) {
    const { promise, resolve } = Promise.withResolvers<PeerDecision>();
    served.peers.change(() => promise);
    let isAnswered = false;
    const call = client.reportCertificates({}).then(() => "answered", () => "failed")
      .finally(() => isAnswered = true);
    for (let n = 0; n < 50; n++) await turn();
    assert.equal(isAnswered, false);
    resolve(isAccepted ? await decide(new Uint8Array()) : rejected);
    assert.equal(await call, isAccepted ? "answered" : "failed");
  }
});

Deno.test("a decision that was begun before a change does not count", async () => {
  await using served = await gatedServer();
  const { decide } = served.peers;
  const { promise, resolve } = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  served.peers.decide = async (leaf) => {
    begun.resolve();
    await promise;
    return await decide(leaf);
  };
  const socket = await served.openTls();
  await begun.promise;
  served.peers.change(() => rejected);
  resolve();
  await closed(socket);
  assert.deepEqual(served.refusals, ["peer"]);
});

Deno.test("a certificate whose owner has changed is closed", async () => {
  await using served = await gatedServer();
  const socket = await served.openSession();
  const expiresAt = Temporal.Instant.from("2100-01-01T00:00:00Z");
  served.peers.change(() => ({ kind: "accepted", owner: "node-2", expiresAt }));
  await closed(socket);
  assert.deepEqual(served.refusals, ["rejected"]);
});

Deno.test("a node has four connections at most, and its newest ones remain", async () => {
  await using served = await gatedServer();
  const other = await served.openSession();
  served.peers.decide = () => ({
    kind: "accepted",
    owner: "node-2",
    expiresAt: Temporal.Instant.from("2100-01-01T00:00:00Z"),
  });
  const sockets = [];
  for (let n = 0; n < 6; n++) sockets.push(await served.openSession());
  await Promise.all(sockets.slice(0, 2).map(closed));
  assert.deepEqual([...sockets.slice(2), other].map((socket) => socket.destroyed), [
    ...[false, false, false, false],
    false,
  ]);
  assert.equal(served.server.connections.authenticated, 5);
  assert.deepEqual(served.refusals, ["connections", "connections"]);
  await served.call();
});

Deno.test("a call has the certificate that was verified", async () => {
  let shown: Uint8Array | undefined;
  await using served = await gatedServer({}, {
    reportCertificates: (_, { peerCertificate }) => {
      shown = peerCertificate;
      return Promise.resolve({});
    },
  });
  let verified: Uint8Array | undefined;
  const { decide } = served.peers;
  served.peers.decide = (leaf) => {
    verified = leaf;
    return decide(leaf);
  };
  await served.call();
  assert.deepEqual(shown, verified);
  assert.notEqual(shown, undefined);
});

Deno.test("a stopped server follows its verifier no longer", async () => {
  const served = await gatedServer();
  await served.call();
  assert.equal(served.peers.followers, 1);
  await served[Symbol.asyncDispose]();
  assert.equal(served.peers.followers, 0);
});
