import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { Caller } from "./authenticator.ts";

/**
 * The key of a request in a fair queue: all requests of one node have one key, so that no node delays
 * the others. Where callers are anonymous, each pod has a key.
 */
export function queueKey(caller: Caller, pod: PodIdentity): string {
  return caller.kind === "node" ? `node ${caller.node}` : `pod ${pod.uid}`;
}
