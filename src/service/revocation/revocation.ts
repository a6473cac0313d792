/**
 * This folder denies pods further certificates; a certificate that was issued before stays valid until
 * it expires. It also rejects the client certificates that a node has. Its main types are
 * `Revocation`, `NodeRevocation`, `Denial` and `DenialStore`. It never ends a denial before the last
 * certificate that it is about has expired.
 */

import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import type { DenialStore } from "./denial_store.ts";

const jobKey = "denial-expiry";
const sweepEvery = { hours: 1 };

/**
 * Revokes short-lived certificates: the pod receives no further ones. A denial lasts until the pod's
 * last certificate has expired, and longer while certificates are requested for it.
 */
export class Revocation {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #store: DenialStore;
  readonly #lastExpiry: () => Temporal.Instant;

  constructor(options: {
    clock: Clock;
    scheduler: Scheduler;
    store: DenialStore;
    /** When the last certificate expires that can have been issued until now, to any pod. */
    lastExpiry: () => Temporal.Instant;
  }) {
    this.#clock = options.clock;
    this.#scheduler = options.scheduler;
    this.#store = options.store;
    this.#lastExpiry = options.lastExpiry;
  }

  /**
   * Denies the pod from now on. `validUntil`: when the last certificate that it may hold expires. It
   * is the end of the longest validity, as another replica may have issued to the pod just now.
   */
  async revoke(podUid: string): Promise<{ validUntil: Temporal.Instant }> {
    await this.#deny(podUid);
    return { validUntil: this.#lastExpiry() };
  }

  async #deny(podUid: string): Promise<void> {
    const at = this.#store.get(podUid)?.at ?? this.#clock.now();
    await this.#store.save({ podUid, at, forgetAt: this.#lastExpiry() });
    if (this.#scheduler.nextRun(jobKey) !== undefined) return;
    const next = () => this.#clock.now().add(sweepEvery);
    this.#scheduler.schedule(jobKey, next(), () => {
      this.#store.forget(this.#clock.now());
      return Promise.resolve(next());
    });
  }

  /** Whether all denials are known. */
  get isLoaded(): boolean {
    return this.#store.isLoaded;
  }

  /** Since when the pod is denied. */
  deniedSince(podUid: string): Temporal.Instant | undefined {
    return this.#store.get(podUid)?.at;
  }

  /** As `deniedSince`, when a certificate is requested: extends a denial that would end soon. */
  async extendIfDenied(podUid: string): Promise<Temporal.Instant | undefined> {
    const denial = this.#store.get(podUid);
    if (denial === undefined) return undefined;
    const msUntil = (at: Temporal.Instant) => this.#clock.now().until(at).total("milliseconds");
    if (msUntil(denial.forgetAt) < msUntil(this.#lastExpiry()) / 2) await this.#deny(podUid);
    return denial.at;
  }
}
