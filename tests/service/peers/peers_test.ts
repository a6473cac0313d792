import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { type PeerClient, type PeerDirectory, Peers } from "../../../src/service/peers/peers.ts";
import { resolvedPeers } from "../../../src/service/peers/resolved_peers.ts";
import {
  CertificateInfoSchema,
  FindCertificateResponseSchema,
  ListCertificatesRequestSchema,
  ListOwnCertificatesResponseSchema,
  ListOwnNodesResponseSchema,
} from "../../../src/shared/gen/certificate_service_pb.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import type { Address } from "../../../src/shared/text/network_address.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

type Listed = MessageInitShape<typeof ListOwnCertificatesResponseSchema>;

/** How a test's replica answers; by default it has one certificate, of its own name. */
interface Behaviour {
  readonly replica?: string;
  readonly find?: () => Promise<never>;
  readonly list?: () => AsyncIterable<Listed>;
}

const filter = create(ListCertificatesRequestSchema);
const never = () => new Promise<never>(() => {});
const older = new RpcError(status.UNIMPLEMENTED, "unknown method");

/** The peers of the replica "own". Which clients are open is known. */
function open(replicas: Record<string, Behaviour | Error>) {
  const clock = new FakeClock();
  const isOpen = new Set<string>();
  const connect = ({ hostname }: Address): Promise<PeerClient> => {
    const behaviour = replicas[hostname];
    if (behaviour instanceof Error) return Promise.reject(behaviour);
    const { replica = hostname, find, list } = behaviour ?? {};
    const certificates = [{ serialNumber: hostname }];
    isOpen.add(hostname);
    const answers = list ?? (async function* () {
      yield await Promise.resolve({ replica, certificates });
    });
    return Promise.resolve({
      findCertificate: find ?? (() =>
        Promise.resolve(
          create(FindCertificateResponseSchema, { replica, certificate: certificates[0]! }),
        )),
      listOwnCertificates: async function* () {
        for await (const answer of answers()) {
          yield create(ListOwnCertificatesResponseSchema, answer);
        }
      },
      listOwnNodes: async function* () {
        for await (const answer of answers()) {
          const nodes = [{ name: `node-of-${answer.replica}` }];
          yield create(ListOwnNodesResponseSchema, { replica: answer.replica ?? "", nodes });
        }
      },
      [Symbol.dispose]: () => void isOpen.delete(hostname),
    });
  };
  const addresses = Object.keys(replicas).map((hostname) => ({ hostname, port: 1 }));
  const directory: PeerDirectory = {
    names: [{ hostname: "peers", port: 1 }],
    // Some twice, as a name of two address families can have them.
    resolve: () => Promise.resolve([...addresses, ...addresses]),
  };
  const peersOf = (directory: PeerDirectory) =>
    new Peers({ replica: "own", directory, connect, clock });
  return {
    clock,
    isOpen,
    peers: peersOf(directory),
    peersOf,
    directory,
  };
}

/** Reads every list to its end. */
async function read({ peers }: Pick<ReturnType<typeof open>, "peers">) {
  const missing: { address: string; reason: string }[] = [];
  const sources = await peers.lists(filter, missing);
  const serials = await Promise.all(sources.map(async (source) => {
    const pages = await Array.fromAsync(source);
    return pages.flat().map(({ serialNumber }) => serialNumber);
  }));
  return { serials: serials.flat(), missing };
}

Deno.test("the other replicas answer, and this one is asked nothing of itself", async () => {
  const opened = open({ a: {}, self: { replica: "own" }, b: {} });
  const { answers, missing } = await opened.peers.find("a1");
  assert.deepEqual(answers.map(({ replica }) => replica).sort(), ["a", "b"]);
  assert.deepEqual(missing, []);
  assert.deepEqual(await read(opened), { serials: ["a", "b"], missing: [] });
  const nodes = (await opened.peers.nodes([])).map(({ name }) => name);
  assert.deepEqual(nodes.sort(), ["node-of-a", "node-of-b"]);
  assert.equal(opened.isOpen.size, 0);
  assert.equal(opened.clock.timers, 0);
});

Deno.test("a replica that does not answer within two seconds is missing, and the others are not", async () => {
  const list = async function* () {
    yield { replica: "slow", certificates: [{ serialNumber: "1" }] };
    await never();
  };
  const opened = open({ a: {}, slow: { find: never, list } });
  const { clock } = opened;
  const finding = opened.peers.find("a1");
  await clock.until(() => clock.timers === 1);
  await clock.advance({ milliseconds: 1_999 });
  await clock.advance({ milliseconds: 1 });
  const late = [{ address: "slow:1", reason: "it did not answer within 2 s" }];
  assert.deepEqual((await finding).missing, late);

  const reading = read(opened);
  await clock.until(() => clock.timers === 1);
  await clock.advance({ seconds: 2 });
  assert.deepEqual(await reading, { serials: ["a", "1"], missing: late });
  assert.equal(opened.isOpen.size, 0);
});

Deno.test("a replica that cannot be called is missing with the reason", async () => {
  const list = async function* () {
    yield await Promise.reject<Listed>(older);
  };
  const opened = open({
    gone: new Error("there is no node CA yet"),
    older: { find: () => Promise.reject(older), list },
  });
  const expected = [
    { address: "gone:1", reason: "there is no node CA yet" },
    { address: "older:1", reason: "it has an older version of the service" },
  ];
  assert.deepEqual((await opened.peers.find("a1")).missing, expected);
  assert.deepEqual(await read(opened), { serials: [], missing: expected });
});

Deno.test("a name that cannot be resolved, or not in time, is missing, and the others are asked", async () => {
  const opened = open({ a: {} });
  const { clock, directory } = opened;
  const answers: Record<string, () => ReturnType<PeerDirectory["resolve"]>> = {
    gone: () => Promise.reject(new Error("no such name")),
    slow: never,
  };
  const names = ["gone", "peers", "slow"].map((hostname) => ({ hostname, port: 1 }));
  const resolve: PeerDirectory["resolve"] = (name) =>
    answers[name.hostname]?.() ?? directory.resolve(name);
  const reading = read({ peers: opened.peersOf({ names, resolve }) });
  await clock.until(() => clock.timers === 1);
  await clock.advance({ seconds: 2 });
  assert.deepEqual(await reading, {
    serials: ["a"],
    missing: [
      { address: "gone:1", reason: "no such name" },
      { address: "slow:1", reason: "it did not answer within 2 s" },
    ],
  });
});

Deno.test("the system resolves a name to its addresses at the same port, and an unknown one is named", async () => {
  const { resolve } = resolvedPeers([]);
  const found = await resolve({ hostname: "localhost", port: 7 });
  assert.ok(found.length > 0);
  for (const { hostname, port } of found) {
    assert.ok(["127.0.0.1", "::1"].includes(hostname), hostname);
    assert.equal(port, 7);
  }
  await assert.rejects(
    resolve({ hostname: "a..b", port: 7 }),
    /^Error: a\.\.b cannot be resolved \(PEERS\): /,
  );
});

Deno.test("a list whose reader ends early leaves no client and no timer", async () => {
  const list = async function* () {
    for (;;) yield await Promise.resolve({ replica: "a", certificates: [{ serialNumber: "1" }] });
  };
  const opened = open({ a: { list } });
  const missing: never[] = [];
  const [source] = await opened.peers.lists(filter, missing);
  assert.deepEqual((await source!.next()).value, [
    create(CertificateInfoSchema, { serialNumber: "1" }),
  ]);
  await source!.return();
  assert.deepEqual([opened.isOpen.size, opened.clock.timers, missing], [0, 0, []]);
});
