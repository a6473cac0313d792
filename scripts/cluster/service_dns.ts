import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";

/** The addresses of a Service's name such as "web.shop"; undefined when there is no such Service. */
export type ResolveService = (name: string, namespace: string) => Promise<string[] | undefined>;

const types = { A: 1, AAAA: 28 };
const answered = 0x8580;
const noSuchName = 3;
const failed = 2;

/** Answers the names of Services to pods, as a cluster's DNS does, until disposed. It knows no other names. */
export async function serveNames(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  resolve: ResolveService,
): Promise<Disposable & { readonly port: number }> {
  const socket = createSocket(isIPv6(hostname) ? "udp6" : "udp4");
  socket.on("message", (question, from) => {
    void answer(question, resolve).then((bytes) => {
      if (bytes !== undefined) socket.send(bytes, from.port, from.address);
    });
  });
  socket.bind(port, hostname);
  await once(socket, "listening");
  return { port: socket.address().port, [Symbol.dispose]: () => void socket.close() };
}

/** The answer to a query with one question (RFC 1035, section 4); undefined for anything else. */
async function answer(query: Uint8Array, resolve: ResolveService): Promise<Uint8Array | undefined> {
  const view = new DataView(query.buffer, query.byteOffset, query.byteLength);
  if (query.length < 17 || view.getUint16(4) !== 1) return undefined;
  const labels = [];
  let at = 12;
  for (let length = query[at]!; length !== 0; length = query[at]!) {
    if (length > 63 || at + length + 5 > query.length) return undefined;
    labels.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + length)).toLowerCase());
    at += 1 + length;
  }
  const question = query.subarray(12, at + 5);
  const found = await addressesOf(labels, resolve).catch(() => failed);
  const code = typeof found === "number" ? found : 0;
  const type = view.getUint16(at + 1);
  const records = (typeof found === "number" ? [] : found)
    .filter((address) => type === (isIPv6(address) ? types.AAAA : types.A))
    .map((address) => record(type, address));
  const header = new Uint8Array(12);
  const fields = new DataView(header.buffer);
  fields.setUint16(0, view.getUint16(0));
  fields.setUint16(2, answered | code);
  fields.setUint16(4, 1);
  fields.setUint16(6, records.length);
  return new Uint8Array([...header, ...question, ...records.flat()]);
}

async function addressesOf(
  labels: readonly string[],
  resolve: ResolveService,
): Promise<string[] | number> {
  const [name = "", namespace = "", ...domain] = labels;
  if (domain.join(".") !== "svc.cluster.local") return noSuchName;
  return await resolve(name, namespace) ?? noSuchName;
}

/** A record of the name in the question, valid for five seconds. */
function record(type: number, address: string): number[] {
  const bytes = type === types.AAAA ? ipv6Bytes(address) : address.split(".").map(Number);
  return [0xc0, 12, 0, type, 0, 1, 0, 0, 0, 5, 0, bytes.length, ...bytes];
}

function ipv6Bytes(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const groups = (text: string) =>
    text.split(":").filter(Boolean).map((group) => parseInt(group, 16));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0);
  return [...first, ...zeros, ...last].flatMap((group) => [group >> 8, group & 0xff]);
}
