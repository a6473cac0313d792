import { earlier, later } from "../../shared/scheduler/instants.ts";
import { isObjectName, type NamespacedName } from "../../shared/text/kubernetes_names.ts";
import { isDnsLabel } from "../../shared/text/name_syntax.ts";
import { installed } from "../../shared/text/product_names.ts";

/** One pod that gets no further certificate. */
export interface Denial {
  readonly podUid: string;
  /** The name that the API server confirmed for this uid; undefined while none is known. */
  readonly pod: NamespacedName | undefined;
  readonly at: Temporal.Instant;
  /** When the pod's certificates have expired. From then on the API server is asked whether the pod is gone. */
  readonly checkAt: Temporal.Instant;
}

/** One node whose client certificates of before an instant are rejected. */
export interface NodeDenial {
  readonly node: string;
  readonly at: Temporal.Instant;
  /** When it can be forgotten, because those certificates have expired. */
  readonly forgetAt: Temporal.Instant;
}

export type ParsedDenials<D> =
  | { readonly kind: "read"; readonly denials: Map<string, D> }
  | { readonly kind: "refused"; readonly problem: string };

/**
 * One kind of denials and its text. Each kind has a key of its own in the document's data: a replica
 * of a version that does not know a key keeps its text when it writes.
 */
export interface DenialKind<D> {
  readonly key: string;
  /** What an error states after the number of denials. */
  readonly isFull: string;
  /** A ConfigMap holds 1 MiB, in all keys together. */
  readonly maxBytes: number;
  parse(text: string | undefined): ParsedDenials<D>;
  format(denials: Iterable<D>): string;
  /** Returns `read` itself when `known` adds nothing to it. */
  merge(read: D, known: D): D;
}

/**
 * Denials of versions that did not write names have none. Those versions ignore the names, and lose
 * them when they write.
 */
export const podDenials: DenialKind<Denial> = {
  key: "denials.json",
  isFull: "pods are denied, which is the most that the list can contain",
  // 4,600 with names of usual length, 1,900 with the longest.
  maxBytes: 920_000,
  parse: (text) =>
    parseList(text, podDenials.key, "denials", ({ podUid, namespace, name, at, until }) => [
      readText(podUid),
      {
        podUid: readText(podUid),
        pod: readName(namespace, name),
        at: readInstant(at),
        checkAt: readInstant(until),
      },
    ]),
  format: (denials) => {
    const list = [...denials].map(({ podUid, pod, at, checkAt }) => (
      { podUid, ...pod, at: at.toString(), until: checkAt.toString() }
    ));
    return JSON.stringify({ version: formatVersion, denials: list });
  },
  /** A pod that is denied twice is denied from the earlier time on. */
  merge: (read, known) => {
    const at = earlier(read.at, known.at);
    const checkAt = later(read.checkAt, known.checkAt);
    const pod = read.pod ?? known.pod;
    const isSame = pod === read.pod && at.equals(read.at) && checkAt.equals(read.checkAt);
    return isSame ? read : { podUid: read.podUid, pod, at, checkAt };
  },
};

export const nodeDenials: DenialKind<NodeDenial> = {
  key: "node-denials.json",
  isFull: "nodes are denied, which is the most that the list can contain",
  // 300 with names of 253 characters.
  maxBytes: 105_000,
  parse: (text) =>
    parseList(text, nodeDenials.key, "nodes", ({ node, at, until }) => [
      readText(node),
      { node: readText(node), at: readInstant(at), forgetAt: readInstant(until) },
    ]),
  format: (denials) => {
    const list = [...denials].map(({ node, at, forgetAt }) => (
      { node, at: at.toString(), until: forgetAt.toString() }
    ));
    return JSON.stringify({ version: formatVersion, nodes: list });
  },
  /** A node that is denied twice is denied until the later time: it may have received certificates since the first. */
  merge: (read, known) => {
    const at = later(read.at, known.at);
    const forgetAt = later(read.forgetAt, known.forgetAt);
    const isSame = at.equals(read.at) && forgetAt.equals(read.forgetAt);
    return isSame ? read : { node: read.node, at, forgetAt };
  },
};

const formatVersion = 1;

type Fields = Readonly<Record<string, unknown>>;

function parseList<D>(
  text: string | undefined,
  key: string,
  listKey: string,
  read: (fields: Fields) => [name: string, denial: D],
): ParsedDenials<D> {
  if (text === undefined || text.trim() === "") return { kind: "read", denials: new Map() };
  try {
    const { version, [listKey]: list } = JSON.parse(text);
    if (Number.isInteger(version) && version > formatVersion) {
      const problem = `${key} has version ${version}, which a newer service wrote, and this one ` +
        `reads version ${formatVersion}: upgrade it`;
      return { kind: "refused", problem };
    }
    if (version === formatVersion) return { kind: "read", denials: new Map(list.map(read)) };
  } catch {
    // Reported below.
  }
  const problem =
    `${key} is broken: correct it, or delete the ConfigMap ${installed.denials}, which ` +
    "the replicas that run write again with what they know";
  return { kind: "refused", problem };
}

function readText(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error("not a text");
}

/** A name that is not one of Kubernetes must not become a part of a path. */
function readName(namespace: unknown, name: unknown): NamespacedName | undefined {
  if (namespace === undefined && name === undefined) return undefined;
  const pod = { namespace: readText(namespace), name: readText(name) };
  if (isDnsLabel(pod.namespace) && isObjectName(pod.name)) return pod;
  throw new Error("not the name of a pod");
}

function readInstant(value: unknown): Temporal.Instant {
  return Temporal.Instant.from(readText(value));
}
