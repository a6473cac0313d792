import type { PodDirectory } from "../access/pod_authorization.ts";
import type { Denial } from "./denial_format.ts";

/** How many pods are looked up at once. */
const atOnce = 8;

/** What the API server says of denied pods. A pod whose denial has no name, and one without an answer, is in neither. */
export interface DeniedPods {
  /** By uid: no pod has this uid any more. */
  readonly gone: ReadonlySet<string>;
  /** By uid. */
  readonly existing: ReadonlySet<string>;
}

/** Asks the API server which of the denied pods are gone; stops when `isEnough` says so after some of them. */
export async function askDeniedPods(
  directory: PodDirectory,
  denials: readonly Denial[],
  signal: AbortSignal,
  isEnough: (asked: DeniedPods) => boolean = () => false,
): Promise<DeniedPods> {
  const gone = new Set<string>();
  const existing = new Set<string>();
  const ask = async ({ podUid, pod }: Denial) => {
    if (pod === undefined) return;
    const answer = await directory.find({ ...pod, uid: podUid }, signal);
    if (answer.kind === "absent") gone.add(podUid);
    if (answer.kind === "found") existing.add(podUid);
  };
  for (let at = 0; at < denials.length && !isEnough({ gone, existing }); at += atOnce) {
    await Promise.all(denials.slice(at, at + atOnce).map(ask));
  }
  return { gone, existing };
}
