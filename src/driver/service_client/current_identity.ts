import type { Clock } from "../../shared/scheduler/clock.ts";
import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { ClientIdentity } from "../../shared/grpc_client/client_identity.ts";

/** Old connections are closed this long before their certificate expires, or at nine tenths of a shorter lifetime. */
const closingMs = 30_000;

/** The identity in use and its listeners; aborts the signal of each identity when it is about to expire. */
export class CurrentIdentity implements Disposable {
  readonly #clock: Pick<Clock, "after">;
  readonly #listeners = new Listeners();
  readonly #timers = new Set<Disposable>();
  #identity: ClientIdentity | undefined;

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  get(): ClientIdentity | undefined {
    return this.#identity;
  }

  /** Whether there is one that has not expired. */
  get isUsable(): boolean {
    return this.#identity !== undefined && this.#identity.expiring?.aborted !== true;
  }

  /** Uses this pair from now on; it is valid for `remainingMs`. */
  replace(certificatePem: string, privateKeyPem: string, remainingMs: number): void {
    const expiring = new AbortController();
    this.#identity = { certificatePem, privateKeyPem, expiring: expiring.signal };
    const waitMs = remainingMs - Math.min(closingMs, Math.max(0, remainingMs) / 10);
    const timer = this.#clock.after(waitMs, () => {
      this.#timers.delete(timer);
      expiring.abort();
    });
    this.#timers.add(timer);
    this.#listeners.call();
  }

  onChange(listener: () => void): Disposable {
    return this.#listeners.add(listener);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
  }
}
