import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { Caller } from "./authenticator.ts";

/**
 * Whose turn it is in a fair queue: everything that one node asks for has one key, so that no node
 * keeps the others waiting. Where callers are not known, each pod has a key.
 */
export function queueKey(caller: Caller, pod: PodIdentity): string {
  return caller.kind === "node" ? `node ${caller.node}` : `pod ${pod.uid}`;
}
