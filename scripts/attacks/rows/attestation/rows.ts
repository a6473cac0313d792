/** The attestation endpoint: the one port that answers unauthenticated clients. */
import { readCertificates } from "../../../../src/shared/x509/certificate.ts";
import {
  type AttestationAnswer,
  attestationBody,
  attestationRequest,
  exampleCsr,
} from "../../programs/attestation.ts";
import { driverPodName, driverPodUid, namespace, nodeName } from "../../programs/cluster.ts";
import { ask, clusterOf, endpoint, oddRequests } from "./requests.ts";
import {
  type Attack,
  attackerAddress,
  AttackFailure,
  InconclusiveFailure,
  type ServiceRow,
} from "../../harness/row.ts";
import { repeatInParallel } from "../../harness/repetition.ts";
import { pause } from "../../harness/service_row.ts";
import { openSocket, openTcp } from "../../http2/socket.ts";
import { resetWhileStopped } from "../../programs/stopped_program.ts";
import { madeUpToken, withHeader } from "../../programs/tokens.ts";

const longestAcceptMs = 2_000;

/** Sends requests in parallel until the time is over; counts the statuses of the answers. */
async function flood(
  attack: Attack,
  parallel: number,
  act: (n: number) => Promise<AttestationAnswer>,
): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  await repeatInParallel(attack, parallel, async (n) => {
    const { status } = await act(n);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  });
  return statuses;
}

function text(statuses: ReadonlyMap<number, number>): string {
  return [...statuses].map(([status, count]) => `${count} x ${status || "closed"}`).join(", ");
}

function mustNotIssue(statuses: ReadonlyMap<number, number>): string {
  if (statuses.has(200)) throw new AttackFailure(`certificates were issued: ${text(statuses)}`);
  return text(statuses);
}

async function madeUpTokens(attack: Attack, header?: Record<string, unknown>): Promise<string> {
  const { pem } = await exampleCsr();
  const before = clusterOf(attack).api.calls.length;
  const statuses = await flood(
    attack,
    50,
    (n) => ask(attack, attestationBody(madeUpToken(n, header), pem), n),
  );
  const asked = clusterOf(attack).api.calls.length - before;
  return `${mustNotIssue(statuses)}; ${asked} calls to the API server, honest ones included`;
}

/** Tokens that are genuine but for one part, which has to be refused with the status. */
async function alteredTokens(attack: Attack): Promise<string> {
  const { pem } = await exampleCsr();
  const token = clusterOf(attack).token(9);
  const [, payload = ""] = token.split(".");
  // Only a key that the cluster has not published may be answered "try later".
  const unknownKeys: Record<string, string> = {
    "an unknown key": withHeader(token, { kid: "unknown" }),
    "no key's name": withHeader(token, { kid: undefined }),
  };
  const altered: Record<string, string> = {
    ...unknownKeys,
    "alg none": withHeader(token, { alg: "none" }),
    "alg none without a signature": `${
      withHeader(token, { alg: "none" }).split(".")[0]
    }.${payload}.`,
    "alg HS256": withHeader(token, { alg: "HS256" }),
    "another payload": `${token.split(".")[0]}.${madeUpToken(1).split(".")[1]}.${
      token.split(".")[2]
    }`,
    "a token of another audience": clusterOf(attack).api.tokens.make({ audiences: ["other"] }),
    "an expired token": clusterOf(attack).api.tokens.make({
      expiresAt: Temporal.Now.instant().subtract({ hours: 1 }),
    }),
  };
  const wrong: string[] = [];
  for (const [name, each] of Object.entries(altered)) {
    const { status } = await ask(attack, attestationBody(each, pem));
    const accepted = name in unknownKeys ? [400, 401, 403, 503] : [400, 401, 403];
    if (!accepted.includes(status)) wrong.push(`${name}: ${status}`);
    // What is looked up is limited to one a second.
    await pause(50);
  }
  if (wrong.length > 0) throw new AttackFailure(wrong.join("; "));
  return `${Object.keys(altered).length} tokens`;
}

/** Tokens that the API server accepts, of callers that may not have a node certificate. */
async function wrongCallers(attack: Attack): Promise<string> {
  const { api } = clusterOf(attack);
  const { pem } = await exampleCsr();
  const pod = { name: driverPodName(9), uid: "00000000-0000-4000-8000-000000000000" };
  const tokens: Record<string, string> = {
    "another service account": api.tokens.make({ account: "shop/web" }),
    "bound to no pod": api.tokens.make({ pod: null, node: nodeName(9) }),
    "a pod of another uid": api.tokens.make({ pod, node: nodeName(9) }),
    "a pod on another node": api.tokens.make({
      pod: { name: driverPodName(9), uid: driverPodUid(9) },
      node: nodeName(7),
    }),
  };
  const wrong: string[] = [];
  for (const [name, token] of Object.entries(tokens)) {
    const { status } = await ask(attack, attestationBody(token, pem));
    if (status !== 403 && status !== 401) wrong.push(`${name}: ${status}`);
  }
  api.objects.delete("pods", namespace, driverPodName(8));
  const gone = await ask(attack, attestationBody(clusterOf(attack).token(8), pem));
  clusterOf(attack).putPods(8);
  if (gone.status !== 403) wrong.push(`a deleted driver pod: ${gone.status}`);
  if (wrong.length > 0) throw new AttackFailure(wrong.join("; "));
  return "each refused";
}

/** The names in a request count for nothing: the certificate is the token's node's. */
async function ownNodeOnly(attack: Attack): Promise<string> {
  const { pem } = await exampleCsr();
  const answer = await ask(attack, attestationBody(clusterOf(attack).token(9), pem));
  if (answer.status !== 200) throw new AttackFailure(`an honest request: ${answer.status}`);
  const [leaf] = readCertificates(JSON.parse(answer.body).certificateChain) ?? [];
  const expected = `spiffe://cluster.local/csi-cert-node/${nodeName(9)}`;
  if (leaf?.uris.join() !== expected) throw new AttackFailure(`the certificate is ${leaf?.uris}`);
  return expected;
}

/** One genuine token and request again and again. */
async function replays(attack: Attack): Promise<string> {
  const { pem } = await exampleCsr();
  const body = attestationBody(clusterOf(attack).token(9), pem);
  return text(await flood(attack, 16, (n) => ask(attack, body, n)));
}

/** Bodies that arrive one byte at a time; each connection has 5 s from accept to close. */
async function slowBodies(attack: Attack): Promise<string> {
  const request = attestationRequest("a".repeat(1_000)).slice(0, 200);
  const open = await Promise.all(Array.from({ length: 200 }, async (_, n) => {
    const target = endpoint(attack, n);
    const tls = { ...target.tls, protocols: ["http/1.1"] };
    const socket = await openSocket({ ...target, tls }).catch(() => undefined);
    socket?.stream.write(request);
    socket?.stream.resume();
    return socket;
  }));
  const began = performance.now();
  while (performance.now() - began < 6_500 && attack.isAlive()) {
    for (const socket of open) if (socket?.stream.writable) socket.stream.write("a");
    await pause(500);
  }
  const still = open.filter((socket) => socket !== undefined && !socket.raw.destroyed).length;
  for (const socket of open) socket?.raw.destroy();
  if (still > 0) throw new InconclusiveFailure(`${still} slow requests are open after 6.5 s`);
  return `${open.length} connections`;
}

/** 10,000 connections in the long form, some thousand in the quick one. */
async function manyConnections(attack: Attack): Promise<string> {
  const most = attack.ms > 5_000 ? 10_000 : 2_000;
  const { address } = endpoint(attack);
  let count = 0;
  const sockets = [];
  while (count < most && !attack.isSpent() && attack.isAlive()) {
    const opened = await Promise.all(
      Array.from(
        { length: 50 },
        () => openTcp({ address, from: attackerAddress(count++) }).catch(() => undefined),
      ),
    );
    sockets.push(...opened);
  }
  await pause(200);
  const open = sockets.filter((socket) => socket !== undefined && !socket.destroyed).length;
  for (const socket of sockets) socket?.destroy();
  return `${count} connections, ${open} open at the end`;
}

/** The API server hangs or fails: unauthenticated clients are refused, and honest nodes keep their connections. */
async function badApiServer(attack: Attack, fault: "hang" | 500): Promise<string> {
  const { api } = clusterOf(attack);
  const { pem } = await exampleCsr();
  const body = attestationBody(clusterOf(attack).token(9), pem);
  api.fail("create tokenreviews", fault, 10_000);
  try {
    const statuses = await flood(attack, 16, (n) => ask(attack, body, n));
    return mustNotIssue(statuses);
  } finally {
    api.faults.length = 0;
    api.release();
  }
}

/** Connections that have ended before they are accepted must not keep honest ones waiting. */
async function resetsBeforeAccept(attack: Attack): Promise<string> {
  const { pem } = await exampleCsr();
  const count = await resetWhileStopped(attack.running.program, endpoint(attack).address);
  const began = performance.now();
  const { status } = await ask(attack, attestationBody(clusterOf(attack).token(9), pem));
  const ms = Math.round(performance.now() - began);
  if (status === 0 || ms > longestAcceptMs) {
    throw new InconclusiveFailure(`after ${count} resets: ${status || "no answer"} after ${ms} ms`);
  }
  return `${count} resets, then an answer after ${ms} ms`;
}

const attacks: Readonly<Record<string, (attack: Attack) => Promise<string>>> = {
  "made-up tokens": (attack) => madeUpTokens(attack),
  "made-up tokens of unknown keys": (attack) => madeUpTokens(attack, { kid: "unknown" }),
  "altered tokens": alteredTokens,
  "callers that may not": wrongCallers,
  "a certificate for another node": ownNodeOnly,
  replays,
  "odd requests": oddRequests,
  "slow bodies": slowBodies,
  "resets before accept": resetsBeforeAccept,
  "many connections": manyConnections,
  "an API server that hangs": (attack) => badApiServer(attack, "hang"),
  "an API server that fails": (attack) => badApiServer(attack, 500),
};

export const attestationRows: readonly ServiceRow[] = Object.entries(attacks).map((
  [name, run],
) => ({
  name: `attestation/${name}`,
  position: "unauthenticated",
  target: "kubernetes",
  needs: "attestation",
  run,
}));
