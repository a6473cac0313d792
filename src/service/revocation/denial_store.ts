/** One pod that gets no further certificate. */
export interface Denial {
  readonly podUid: string;
  readonly at: Temporal.Instant;
  /** When it can be forgotten, because nobody asks any more. */
  readonly forgetAt: Temporal.Instant;
}

/**
 * Where denials are kept. A durable one loads all before the service signs anything, has written a
 * denial before `save` resolves, and sees what other replicas wrote within seconds: `get` is asked
 * before each signature.
 */
export interface DenialStore {
  /** Whether all denials are known, so that something may be signed. */
  readonly isLoaded: boolean;
  /** Adds the denial, or puts it in the place of the pod's former one. */
  save(denial: Denial): Promise<void>;
  get(podUid: string): Denial | undefined;
  /** Forgets the denials whose `forgetAt` has passed. */
  forget(before: Temporal.Instant): void;
}

/** Keeps denials for as long as the process lives. */
export class MemoryDenialStore implements DenialStore {
  readonly isLoaded = true;
  readonly #denials = new Map<string, Denial>();

  get size(): number {
    return this.#denials.size;
  }

  save(denial: Denial): Promise<void> {
    this.#denials.set(denial.podUid, denial);
    return Promise.resolve();
  }

  get(podUid: string): Denial | undefined {
    return this.#denials.get(podUid);
  }

  forget(before: Temporal.Instant): void {
    for (const { podUid, forgetAt } of this.#denials.values()) {
      if (Temporal.Instant.compare(forgetAt, before) < 0) this.#denials.delete(podUid);
    }
  }
}
