/** One pod that gets no further certificate. */
export interface Denial {
  readonly podUid: string;
  readonly at: Temporal.Instant;
  /** When it can be forgotten, because no certificate was requested for the pod for so long. */
  readonly forgetAt: Temporal.Instant;
}

/** One node whose client certificates of before an instant are rejected. */
export interface NodeDenial {
  readonly node: string;
  readonly at: Temporal.Instant;
  /** When it can be forgotten, because those certificates have expired. */
  readonly forgetAt: Temporal.Instant;
}

/**
 * Each kind of denial has a key of its own in the document's data. A replica of a version that does
 * not know a key keeps its text when it writes.
 */
export const podsKey = "denials.json";
export const nodesKey = "node-denials.json";

interface Times {
  readonly at: Temporal.Instant;
  readonly forgetAt: Temporal.Instant;
}

export function formatDenials(denials: Iterable<Denial>): string {
  const list = [...denials].map(({ podUid, ...times }) => ({ podUid, ...timesText(times) }));
  return JSON.stringify({ version: 1, denials: list });
}

export function formatNodeDenials(denials: Iterable<NodeDenial>): string {
  const list = [...denials].map(({ node, ...times }) => ({ node, ...timesText(times) }));
  return JSON.stringify({ version: 1, nodes: list });
}

/** Undefined for a text that `formatDenials` did not write. */
export function parseDenials(text: string | undefined): Map<string, Denial> | undefined {
  return parseList(text, "denials", "podUid", (podUid, times) => ({ podUid, ...times }));
}

/** Undefined for a text that `formatNodeDenials` did not write. */
export function parseNodeDenials(text: string | undefined): Map<string, NodeDenial> | undefined {
  return parseList(text, "nodes", "node", (node, times) => ({ node, ...times }));
}

function timesText({ at, forgetAt }: Times) {
  return { at: at.toString(), until: forgetAt.toString() };
}

function parseList<T>(
  text: string | undefined,
  listKey: string,
  nameKey: string,
  build: (name: string, times: Times) => T,
): Map<string, T> | undefined {
  if (text === undefined || text.trim() === "") return new Map();
  try {
    const { version, [listKey]: list } = JSON.parse(text);
    if (version !== 1) return undefined;
    const parsed = new Map<string, T>();
    for (const { [nameKey]: name, at, until } of list) {
      if (typeof name !== "string") return undefined;
      const times = { at: Temporal.Instant.from(at), forgetAt: Temporal.Instant.from(until) };
      parsed.set(name, build(name, times));
    }
    return parsed;
  } catch {
    return undefined;
  }
}
