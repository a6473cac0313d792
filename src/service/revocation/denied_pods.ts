import type { PodDirectory } from "../access/pod_authorization.ts";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import type { Denial } from "./denial_format.ts";

/** How many pods are looked up at once. */
const atOnce = 8;

type NamedDenial = Denial & { readonly pod: NamespacedName };

/** What the API server says of denied pods. A pod whose denial has no name, and one without an answer, is in neither. */
export interface DeniedPods {
  /** By uid: no pod has this uid any more. */
  readonly gone: ReadonlySet<string>;
  /** By uid. */
  readonly existing: ReadonlySet<string>;
}

/**
 * Asks the API server which of the denied pods are gone. Stops when `isEnough` says so after some of them, and
 * when it answers for none of those asked at once: thousands of time limits would take most of an hour.
 */
export async function askDeniedPods(
  directory: PodDirectory,
  denials: readonly Denial[],
  signal: AbortSignal,
  isEnough: (asked: DeniedPods) => boolean = () => false,
): Promise<DeniedPods> {
  const gone = new Set<string>();
  const existing = new Set<string>();
  const ask = async ({ podUid, pod }: NamedDenial) => {
    const answer = await directory.find({ ...pod, uid: podUid }, signal);
    if (answer.kind === "absent") gone.add(podUid);
    if (answer.kind === "found") existing.add(podUid);
    return answer.kind !== "unavailable";
  };
  const named = denials.filter((denial): denial is NamedDenial => denial.pod !== undefined);
  for (let at = 0; at < named.length && !isEnough({ gone, existing }); at += atOnce) {
    const answered = await Promise.all(named.slice(at, at + atOnce).map(ask));
    if (!answered.includes(true)) break;
  }
  return { gone, existing };
}
