/**
 * This folder denies pods further certificates; a certificate that was issued before stays valid until
 * it expires. It also rejects the client certificates that a node has. Its main types are
 * `Revocation`, `NodeRevocation`, `Denial`, `DenialStore`, `DenialUpkeep` and `PodConfirmation`. It
 * never ends the denial of a pod before the API server has said that the pod's uid is gone.
 */

import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { DenialsFullError } from "./denial_list.ts";
import type { DenialStore } from "./denial_store.ts";
import type { DenialUpkeep } from "./denial_upkeep.ts";

/** Revokes short-lived certificates: the pod receives no further ones. */
export class Revocation {
  readonly #clock: Clock;
  readonly #store: DenialStore;
  readonly #upkeep: Pick<DenialUpkeep, "addName" | "removeSomeGone">;
  readonly #lastExpiry: () => Temporal.Instant;

  constructor(options: {
    clock: Clock;
    store: DenialStore;
    upkeep: Pick<DenialUpkeep, "addName" | "removeSomeGone">;
    /** When the last certificate expires that can have been issued until now, to any pod. */
    lastExpiry: () => Temporal.Instant;
  }) {
    this.#clock = options.clock;
    this.#store = options.store;
    this.#upkeep = options.upkeep;
    this.#lastExpiry = options.lastExpiry;
  }

  /**
   * Denies the pod from now on; its name is given where it is confirmed. `validUntil`: when the last
   * certificate that it may have expires. That is the latest instant possible, as no replica knows that
   * it is the only one: another may have issued for the longest validity just now, and its clock may be
   * ahead.
   */
  async revoke(
    podUid: string,
    pod?: NamespacedName,
  ): Promise<{ readonly validUntil: Temporal.Instant }> {
    const at = this.#clock.now();
    const validUntil = this.#lastExpiry().add(maxClockSkew);
    const denial = { podUid, pod, at, checkAt: validUntil };
    for (;;) {
      try {
        await this.#store.save(denial);
        return { validUntil };
      } catch (error) {
        // Those that are removed can be shorter than this one: then it is still full.
        const { signal } = new AbortController();
        const isFull = error instanceof DenialsFullError;
        if (!isFull || !await this.#upkeep.removeSomeGone(signal)) throw error;
      }
    }
  }

  /** Whether all denials are known. */
  get isLoaded(): boolean {
    return this.#store.isLoaded;
  }

  /** Since when the pod is denied. */
  deniedSince(podUid: string): Temporal.Instant | undefined {
    return this.#store.get(podUid)?.at;
  }

  /**
   * Whether a pod is denied for which a certificate is requested, and which the API server has
   * confirmed. The name is written into a denial that has none, without waiting for that.
   */
  isDenied({ uid, namespace, name }: Pick<PodIdentity, "uid" | "namespace" | "name">): boolean {
    const denial = this.#store.get(uid);
    if (denial !== undefined && denial.pod === undefined) {
      this.#upkeep.addName(uid, { namespace, name });
    }
    return denial !== undefined;
  }
}
