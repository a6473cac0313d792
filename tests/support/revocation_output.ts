import assert from "node:assert/strict";

/** Reads what the command `revoke` prints for a pod; fails for another text. */
export function readRevocation(output: string): { podUid: string; validUntil: Date } {
  const text =
    /^pod (?:\S+ \()?([^\s()]+)\)? gets no further certificate; its certificates expire at (\S+) at the latest$/m;
  const [, podUid, validUntil] = text.exec(output) ?? [];
  assert(podUid !== undefined && validUntil !== undefined, output);
  return { podUid, validUntil: new Date(validUntil) };
}
