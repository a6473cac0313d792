/** Client certificates that are not a node's own valid one, and handshakes of other kinds. */
import { clientAuth, type IdentityOptions, nodeUri, serverAuth } from "../programs/authority.ts";
import { SuiteCa } from "../programs/authority.ts";
import { type Attack, attackerAddress, AttackFailure, type ServiceRow } from "../harness/row.ts";
import { repeatInParallel } from "../harness/repetition.ts";
import { attackingNode, pause } from "../harness/service_row.ts";
import { clientHello } from "../http2/client_hello.ts";
import { RawConnection } from "../http2/connection.ts";
import { grpcHeaders, grpcMessage, issueMessage, methodPaths } from "../http2/grpc_request.ts";
import { type ClientIdentity, openTcp, type SocketOptions } from "../http2/socket.ts";

type MakeIdentity = (attack: Attack) => Promise<ClientIdentity | undefined>;

function nodeWith(options: IdentityOptions): MakeIdentity {
  return ({ service }) => service.nodeCa.issueNode("node-9", options);
}

const refused: Readonly<Record<string, MakeIdentity>> = {
  "no certificate": () => Promise.resolve(undefined),
  "a pod's certificate": ({ service }) => service.pod(),
  "another CA's": async () => (await SuiteCa.create("Other CA")).issueNode("node-9"),
  "another CA's of the same name": async () =>
    (await SuiteCa.create("Node CA of the suite")).issueNode("node-9"),
  "an expired one": nodeWith({ notBefore: -2, notAfter: -1 }),
  "one of the future": nodeWith({ notBefore: 1, notAfter: 2 }),
  "one without purposes": nodeWith({ usages: [] }),
  "one for servers only": nodeWith({ usages: [serverAuth] }),
  "two URIs": nodeWith({ uris: [nodeUri("node-9"), nodeUri("node-8")] }),
  "no URI": nodeWith({ uris: [], dnsNames: ["node-9"] }),
  "another trust domain": nodeWith({ uris: ["spiffe://example.org/csi-cert-node/node-9"] }),
  "a workload's URI": nodeWith({ uris: ["spiffe://cluster.local/ns/shop/sa/web"] }),
  "a node's name that is none": nodeWith({ uris: [nodeUri("../node-9")] }),
  "the node CA itself": ({ service }) => service.nodeCa.identity(),
};

const accepted: Readonly<Record<string, MakeIdentity>> = {
  "a node's own": nodeWith({ usages: [clientAuth] }),
};

/** Whether a call with this identity is answered OK, in the whole way from TCP to gRPC. */
async function isServed(
  attack: Attack,
  identity: ClientIdentity | undefined,
  change: Partial<SocketOptions> = {},
): Promise<boolean> {
  const { service, running } = attack;
  const socket = { address: running.address, from: attackerAddress(0), tls: service.tls(identity) };
  try {
    using connection = await RawConnection.open({ ...socket, ...change });
    const pod = service.podOf(attackingNode);
    const message = grpcMessage(issueMessage(service.certificateRequest, pod));
    const answer = await connection.request(grpcHeaders(methodPaths.issue), message, 2_000);
    return answer.grpcStatus === "0";
  } catch {
    return false;
  }
}

/** None of them gets an answer; each of the few that must gets one. */
async function eachIdentity(attack: Attack): Promise<string> {
  const wrong: string[] = [];
  for (const [name, make] of Object.entries(refused)) {
    if (await isServed(attack, await make(attack))) wrong.push(`served: ${name}`);
  }
  for (const [name, make] of Object.entries(accepted)) {
    if (!await isServed(attack, await make(attack))) wrong.push(`not served: ${name}`);
  }
  if (wrong.length > 0) throw new AttackFailure(wrong.join("; "));
  return `${Object.keys(refused).length} certificates refused`;
}

/** Chains as long as a handshake message may be, many at once. */
async function longChains(attack: Attack): Promise<string> {
  const chains = [await attack.service.nodeCa.issueLongChain("node-9", 45)];
  chains.push(await attack.service.nodeCa.issueLongChain("node-9", 56));
  const foreign = await SuiteCa.create("Other CA");
  chains.push(await foreign.issueLongChain("node-9", 56));
  let served = 0;
  const count = await repeatInParallel(attack, 8, async (n) => {
    if (await isServed(attack, chains[n % chains.length])) served++;
  });
  return `${count} handshakes, ${served} served`;
}

/** Certificates that do not fit, as fast as they can be shown. */
async function manyRefused(attack: Attack): Promise<string> {
  const identities = await Promise.all(
    Object.entries(refused).slice(0, 6).map(([, make]) => make(attack)),
  );
  const count = await repeatInParallel(attack, 8, async (n) => {
    await isServed(attack, identities[n % identities.length], { from: attackerAddress(n) });
  });
  return `${count} handshakes`;
}

/** What is answered to bytes that begin no TLS 1.3 with h2; the connection has to be closed. */
async function otherProtocols(attack: Attack): Promise<string> {
  const { service, running } = attack;
  const wrong: string[] = [];
  const { identity } = await service.node(attackingNode);
  for (const protocols of [["http/1.1"], ["h2c"], ["spdy/3", "http/1.1"]]) {
    if (await isServed(attack, identity, { tls: { ...service.tls(identity), protocols } })) {
      wrong.push(`served: ALPN ${protocols}`);
    }
  }
  if (!await isServed(attack, identity)) wrong.push("not served: the same node with ALPN h2");
  if (await isServed(attack, undefined, { tls: undefined })) wrong.push("served: plaintext");
  for (const version of ["1.1", "1.2"] as const) {
    const first = await firstBytes(running.address, clientHello(version));
    // 22: a ServerHello follows; 21: an alert.
    if (first?.[0] === 22) wrong.push(`TLS ${version} was answered`);
  }
  const http = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  await firstBytes(running.address, new TextEncoder().encode(http));
  if (wrong.length > 0) throw new AttackFailure(wrong.join("; "));
  return "each refused";
}

async function firstBytes(address: string, hello: Uint8Array): Promise<Uint8Array | undefined> {
  const socket = await openTcp({ address, from: attackerAddress(1) });
  const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
  const timer = setTimeout(() => resolve(undefined), 2_000);
  socket.on("error", () => resolve(undefined));
  socket.once("data", (bytes: Uint8Array) => resolve(bytes));
  socket.once("close", () => resolve(undefined));
  socket.write(hello);
  const bytes = await promise;
  clearTimeout(timer);
  socket.destroy();
  return bytes;
}

/** New connections from 16 addresses at up to 50 a second each. */
async function sixteenAddresses(attack: Attack): Promise<string> {
  const count = await repeatInParallel(attack, 16, async (_, sequence) => {
    const began = performance.now();
    await isServed(attack, undefined, { from: attackerAddress(sequence) });
    const rest = 20 - (performance.now() - began);
    if (rest > 0) await pause(rest);
  });
  return `${count} connections`;
}

/** As many as one address can open. */
async function oneAddress(attack: Attack): Promise<string> {
  const count = await repeatInParallel(attack, 16, async () => {
    await isServed(attack, undefined, { from: attackerAddress(0) });
  });
  return `${count} connections`;
}

export const identityRows: readonly ServiceRow[] = [
  {
    name: "identities/each that is no node's",
    position: "unauthenticated",
    target: "mtls",
    run: eachIdentity,
  },
  {
    name: "identities/many refused",
    position: "unauthenticated",
    target: "mtls",
    run: manyRefused,
  },
  { name: "identities/chains of 45 to 64 KB", position: "node", target: "mtls", run: longChains },
  ...(["mtls", "kubernetes"] as const).flatMap((target): ServiceRow[] => [
    {
      name: "handshakes/other protocols",
      position: "unauthenticated",
      target,
      run: otherProtocols,
    },
    {
      name: "handshakes/from 16 addresses",
      position: "unauthenticated",
      target,
      run: sixteenAddresses,
    },
    { name: "handshakes/from one address", position: "unauthenticated", target, run: oneAddress },
  ]),
];
