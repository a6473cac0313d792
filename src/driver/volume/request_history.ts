import type { IssuedPair } from "../certificates/certificate_requester.ts";

/** What follows from the requests that were made for each volume's certificate; forgotten when the volume is removed. */
export class RequestHistory {
  readonly #failures = new Map<string, number>();
  readonly #earliest = new Map<string, Temporal.Instant>();
  readonly #held = new Map<string, IssuedPair>();

  /** How often the volume's renewal failed since it last succeeded. */
  failures(volumeId: string): number {
    return this.#failures.get(volumeId) ?? 0;
  }

  /** The volumes whose last attempt failed. */
  get failing(): string[] {
    return [...this.#failures.keys()];
  }

  /** Returns the failures in a row, this one included. */
  recordFailure(volumeId: string): number {
    const failures = this.failures(volumeId) + 1;
    this.#failures.set(volumeId, failures);
    return failures;
  }

  /** A new pair has been written. */
  recordSuccess(volumeId: string): void {
    this.#failures.delete(volumeId);
    this.#held.delete(volumeId);
  }

  /** Before this instant of the scheduler no further request is made. */
  earliestRequest(volumeId: string): Temporal.Instant | undefined {
    return this.#earliest.get(volumeId);
  }

  setEarliestRequest(volumeId: string, at: Temporal.Instant): void {
    this.#earliest.set(volumeId, at);
  }

  /** A renewed pair that is not valid yet by the node's clock. */
  held(volumeId: string): IssuedPair | undefined {
    return this.#held.get(volumeId);
  }

  hold(volumeId: string, pair: IssuedPair): void {
    this.#held.set(volumeId, pair);
  }

  /** The volume has received a newer trust bundle than the held pair has. */
  replaceHeldBundle(volumeId: string, trustBundlePem: string): void {
    const pair = this.#held.get(volumeId);
    if (pair !== undefined) this.#held.set(volumeId, { ...pair, trustBundlePem });
  }

  /** Its certificate is no longer trusted. */
  dropHeld(volumeId: string): void {
    this.#held.delete(volumeId);
  }

  forget(volumeId: string): void {
    this.#failures.delete(volumeId);
    this.#earliest.delete(volumeId);
    this.#held.delete(volumeId);
  }
}
