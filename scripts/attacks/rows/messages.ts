/** Single calls that no honest client makes, whose answer is known: refused, and nothing else happens. */
import { concat, repeat } from "../http2/frames.ts";
import {
  grpcHeaders,
  grpcMessage,
  issueMessage,
  methodPaths,
  renewMessage,
} from "../http2/grpc_request.ts";
import type { HeaderPair } from "../http2/hpack.ts";
import type { Answer } from "../http2/connection.ts";
import {
  type Attack,
  AttackFailure,
  InconclusiveFailure,
  type ServiceRow,
} from "../harness/row.ts";
import { repeatInParallel } from "../harness/repetition.ts";
import { attackingNode } from "../harness/service_row.ts";
import { nodeName } from "../programs/cluster.ts";

interface OddCall {
  readonly path?: string;
  readonly headers?: readonly HeaderPair[];
  /** With its prefix; an issue call's unless given. */
  readonly body?: (attack: Attack) => Uint8Array;
  /** Whether the service may answer OK. */
  readonly mayPass?: boolean;
}

const encoder = new TextEncoder();
const kib = 1024;

/** The message sizes that the service accepts at most (docs/reference/grpc.md). */
const limits = { issue: 32 * kib, renew: 32 * kib, report: 256 * kib, watch: 4 * kib };

/** A message of a given size: its field 15 is unknown, so parsers skip it. */
function padded(bytes: number, message: Uint8Array = new Uint8Array()): Uint8Array {
  // A tag of one byte and a length of three: 2 + 3 * 7 bits count up to 2 MiB.
  const rest = bytes - message.length - 4;
  const length = Uint8Array.of(rest & 0x7f | 0x80, (rest >> 7) & 0x7f | 0x80, rest >> 14);
  return concat(message, Uint8Array.of(0x7a), length, new Uint8Array(rest));
}

function sized(path: string, bytes: number, mayPass: boolean): OddCall {
  const message = ({ service: { certificateRequest } }: Attack) =>
    path === methodPaths.issue
      ? issueMessage(certificateRequest)
      : path === methodPaths.renew
      ? renewMessage(certificateRequest)
      : new Uint8Array();
  return { path, mayPass, body: (attack) => grpcMessage(padded(bytes, message(attack))) };
}

function prefix(options: { compressed?: number; length?: number }): OddCall {
  return {
    body: ({ service }) => grpcMessage(issueMessage(service.certificateRequest), options),
  };
}

/** Any answer is accepted: a deadline concerns the caller alone. */
function deadline(value: string): OddCall {
  return { headers: [["grpc-timeout", value]], mayPass: true };
}

/** An empty entry of a report: two bytes on the wire. */
const emptyEntry = Uint8Array.of(0x0a, 0x00);
/** string fields 1 to 4 of a pod, in bytes that are no UTF-8. */
const badPod = concat(...[1, 2, 3, 4].map((n) => Uint8Array.of(n * 8 + 2, 2, 0xc3, 0x28)));

const calls: Readonly<Record<string, OddCall>> = {
  "131,000 empty entries": {
    path: methodPaths.report,
    body: () => grpcMessage(repeat(emptyEntry, 131_000)),
  },
  "issue at its limit": sized(methodPaths.issue, limits.issue, true),
  "issue over its limit": sized(methodPaths.issue, limits.issue + 1, false),
  "renew at its limit": sized(methodPaths.renew, limits.renew, true),
  "renew over its limit": sized(methodPaths.renew, limits.renew + 1, false),
  "report at its limit": sized(methodPaths.report, limits.report, true),
  "report over its limit": sized(methodPaths.report, limits.report + 1, false),
  "watch over its limit": sized(methodPaths.watch, limits.watch + 1, false),
  "unknown method of 1 MB": sized(methodPaths.unknown, kib * kib, false),
  "prefix shorter than its message": prefix({ length: 1 }),
  "prefix longer than its message": prefix({ length: 100_000 }),
  "prefix of 4 GB": prefix({ length: 0xffff_ffff }),
  // grpc-js 1.14 reads such a message, where the protocol requires INTERNAL; that is harmless.
  "compressed flag without compression": { ...prefix({ compressed: 1 }), mayPass: true },
  "compressed flag of 255": { ...prefix({ compressed: 255 }), mayPass: true },
  "no message": { body: () => new Uint8Array() },
  "half a prefix": { body: () => new Uint8Array(3) },
  "two messages": {
    body: ({ service }) => repeat(grpcMessage(issueMessage(service.certificateRequest)), 2),
    mayPass: true,
  },
  "unknown method": { path: methodPaths.unknown },
  "path without a method": { path: "/" },
  "path of 20 KB": { path: `/${"a".repeat(20_000)}` },
  "deadline of nothing": deadline("0S"),
  "deadline of 0 ns": deadline("0n"),
  "negative deadline": deadline("-1S"),
  "deadline of 99,999,999 hours": deadline("99999999H"),
  "deadline of nine digits": deadline("999999999H"),
  "deadline that is no number": deadline("soon"),
  "metadata of 1 MB": { headers: [["x-a", "b".repeat(kib * kib)]] },
  "1,000 metadata pairs": {
    headers: Array.from({ length: 1_000 }, (_, n) => [`x-${n}`, "b"] as const),
  },
  "binary metadata that is no base64": { headers: [["x-a-bin", "%%%"]], mayPass: true },
  "invalid UTF-8 in metadata": { headers: [["x-a", Uint8Array.of(0xc3, 0x28)]], mayPass: true },
  "invalid UTF-8 in a pod's name": {
    body: () => grpcMessage(concat(Uint8Array.of(0x12, badPod.length), badPod)),
  },
  "another content type": { headers: [["content-type", "text/plain"]], mayPass: true },
  "nested groups": { body: () => grpcMessage(repeat(Uint8Array.of(0x0b), 30_000)) },
  "encoding of no name": { headers: [["grpc-encoding", "bomb"]], mayPass: true },
};

/** Each call several times, on a new connection and on one that is kept. */
async function oddCall(attack: Attack, call: OddCall): Promise<string> {
  const answers = new Map<string, number>();
  while (!attack.isSpent() && attack.isAlive()) {
    const kept = await attack.connect();
    for (let n = 0; n < 10 && kept.isOpen && !attack.isSpent() && attack.isAlive(); n++) {
      const path = call.path ?? methodPaths.issue;
      const pairs = grpcHeaders(path, [...call.headers ?? [], ...attack.credentials]);
      const body = call.body?.(attack) ??
        grpcMessage(issueMessage(attack.service.certificateRequest));
      const answer = await kept.request(pairs, body, 1_000);
      const text = describe(answer);
      answers.set(text, (answers.get(text) ?? 0) + 1);
      // A watch that is served sends messages and no status.
      const isServed = answer.grpcStatus === "0" || answer.body.length > 0;
      if (isServed && call.mayPass !== true) {
        throw new AttackFailure("the service answered a call that it must refuse");
      }
    }
    kept[Symbol.dispose]();
  }
  return [...answers].map(([text, count]) => `${count} x ${text}`).join(", ");
}

function describe({ failure, grpcStatus, httpStatus }: Answer): string {
  if (failure !== undefined) return failure;
  return grpcStatus === undefined ? `HTTP ${httpStatus}` : `status ${grpcStatus}`;
}

/** The quick form has one row for all calls; in the long form each call has its own. */
async function eachOddCall(attack: Attack): Promise<string> {
  const wrong: string[] = [];
  for (const [name, call] of Object.entries(calls)) {
    const end = performance.now() + attack.ms * 4 / Object.keys(calls).length;
    const isSpent = () => performance.now() >= end;
    try {
      await oddCall({ ...attack, isSpent }, call);
    } catch (error) {
      if (!attack.isAlive()) return `the last was: ${name}`;
      wrong.push(error instanceof AttackFailure ? name : `${name} (${error})`);
    }
  }
  if (wrong.length > 0) throw new AttackFailure(`not refused: ${wrong.join("; ")}`);
  return `${Object.keys(calls).length} kinds`;
}

/** Many reports of nothing at once: each is decoded, and its entries are looked at. */
async function manyEmptyEntries(attack: Attack): Promise<string> {
  const body = grpcMessage(repeat(emptyEntry, 131_000));
  let count = 0;
  await repeatInParallel(attack, 4, async (_, sequence) => {
    const connection = await attack.connect({}, sequence);
    while (!attack.isSpent() && attack.isAlive() && connection.isOpen) {
      await connection.request(grpcHeaders(methodPaths.report, attack.credentials), body);
      count++;
    }
    connection[Symbol.dispose]();
  });
  return `${count} reports`;
}

/** One audit line with a reason of at most 1,024 characters, and the fields around it. */
const mostLogBytes = 4 * kib;

/** Attributes that each give a long reason: a small request must not write a long log. */
async function longReasons(attack: Attack): Promise<string> {
  const { program } = attack.running;
  const before = program.output.length;
  const name = `\u0001${"a".repeat(40)}`;
  const entries = Array.from({ length: 200 }, (_, n) => {
    const pair = encoder.encode(`${name}${n}`.slice(0, 48));
    const entry = concat(Uint8Array.of(0x0a, pair.length), pair, Uint8Array.of(0x12, 0));
    return concat(Uint8Array.of(0x1a, entry.length), entry);
  });
  const volume = concat(...entries);
  const length = Uint8Array.of(volume.length & 0x7f | 0x80, volume.length >> 7);
  const body = grpcMessage(concat(
    issueMessage(attack.service.certificateRequest),
    Uint8Array.of(0x1a),
    length,
    volume,
  ));
  let count = 0;
  while (!attack.isSpent() && attack.isAlive() && count < 100) {
    const connection = await attack.connect();
    await connection.request(grpcHeaders(methodPaths.issue, attack.credentials), body);
    connection[Symbol.dispose]();
    count++;
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  // Only the lines about the attacking node's calls: the honest nodes' calls are logged as well.
  const lines = program.output.slice(before).split("\n")
    .filter((line) => line.includes(nodeName(attackingNode)));
  const longest = Math.max(0, ...lines.map((line) => line.length));
  const perCall = Math.round(lines.reduce((sum, line) => sum + line.length, 0) / count);
  if (lines.length === 0) {
    throw new InconclusiveFailure("no call was logged: none reached the service");
  }
  if (perCall > mostLogBytes) throw new AttackFailure(`a request wrote ${perCall} bytes of log`);
  return `${count} calls, ${perCall} bytes of log each, ${longest} in the longest line`;
}

export const messageRows: readonly ServiceRow[] = [
  {
    name: "messages/each odd call",
    position: "node",
    target: "mtls",
    run: eachOddCall,
  },
  ...Object.entries(calls).map(([name, call]): ServiceRow => ({
    name: `messages/${name}`,
    position: "node",
    target: "mtls",
    isLong: true,
    run: (attack) => oddCall(attack, call),
  })),
  {
    name: "messages/reports of 131,000 empty entries",
    position: "node",
    target: "mtls",
    run: manyEmptyEntries,
  },
  { name: "messages/long reasons", position: "node", target: "mtls", run: longReasons },
];
