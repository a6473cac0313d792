import type { PodDirectory } from "../access/pod_authorization.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { bearsOwnName } from "../inventory/own_name.ts";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";

/** What an inventory states of a certificate: to which pod it was issued. */
export interface PodClaim {
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** Whether a node reported it, in place of a replica that issued it. */
  readonly isReported: boolean;
  /** The node that requested or reported it; empty where callers are not authenticated. */
  readonly node: string;
  readonly dnsNames: readonly string[];
}

/** Which pod a certificate was issued to. */
export type PodOfCertificate =
  | { readonly kind: "confirmed"; readonly podUid: string; readonly pod: NamespacedName }
  | { readonly kind: "unconfirmed"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

export interface PodConfirmationOptions {
  /** Absent: no pod of a report can be confirmed. */
  readonly pods?: PodDirectory | undefined;
  readonly clusterDomain: string;
}

/**
 * Decides which pod is meant by a uid or a certificate. What a replica issued is certain. What a node
 * reported can be a lie, by which another pod than the one that is meant would be revoked: the API
 * server has to confirm it.
 */
export class PodConfirmation {
  readonly #options: PodConfirmationOptions;

  constructor(options: PodConfirmationOptions) {
    this.#options = options;
  }

  /** The name of the pod that all claims are about; undefined when none is certain. */
  async nameOf(
    claims: AsyncIterable<PodClaim>,
    signal: AbortSignal,
  ): Promise<NamespacedName | undefined> {
    const reported = new Map<string, PodClaim["pod"]>();
    for await (const { pod, isReported } of claims) {
      if (!isReported) return withoutUid(pod);
      reported.set(`${pod.namespace}/${pod.name}`, pod);
    }
    for (const pod of reported.values()) {
      const answer = await this.#options.pods?.find(pod, signal);
      if (answer?.kind === "found") return withoutUid(pod);
    }
    return undefined;
  }

  async ofCertificate(
    serialNumber: string,
    { pod, isReported, node, dnsNames }: PodClaim,
    signal: AbortSignal,
  ): Promise<PodOfCertificate> {
    const confirmed = { kind: "confirmed", podUid: pod.uid, pod: withoutUid(pod) } as const;
    if (!isReported) return confirmed;
    const { pods, clusterDomain } = this.#options;
    const reporter = node === "" ? "a driver" : `node ${node}`;
    const claim = `certificate ${serialNumber} is known only from a report of ${reporter}, ` +
      `for pod ${pod.namespace}/${pod.name} with uid ${pod.uid}`;
    const unconfirmed = (cause: string) =>
      ({ kind: "unconfirmed", reason: `${claim}, ${cause}: revoke the pod by its uid` }) as const;
    if (!bearsOwnName({ dnsNames }, pod, clusterDomain)) {
      return unconfirmed("whose own name is not the certificate's first name");
    }
    const answer = await pods?.find(pod, signal);
    switch (answer?.kind) {
      case undefined:
        return unconfirmed("and there is no API server to confirm that");
      case "found":
        return confirmed;
      case "absent":
        return unconfirmed("and the API server has no such pod");
      case "unavailable":
        return { kind: "unavailable", reason: `${claim}: ${answer.problem}` };
    }
  }
}

/** What this replica's inventory states of the pod with a uid. */
export async function* claimsOf(
  inventory: Pick<Inventory, "pages">,
  podUid: string,
): AsyncGenerator<PodClaim> {
  for await (const entries of inventory.pages({ podUid, includeReleased: true })) {
    for (const { pod, origin, node = "", names: { dnsNames } } of entries) {
      yield { pod, isReported: origin === "reported", node, dnsNames };
    }
  }
}

function withoutUid({ namespace, name }: NamespacedName): NamespacedName {
  return { namespace, name };
}
