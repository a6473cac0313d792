import { getLogger } from "@logtape/logtape";
import { abortable } from "../../shared/scheduler/abort_signals.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { isWithin } from "../../shared/scheduler/instants.ts";
import { parseKeySet, type TokenKey } from "./key_set.ts";

/** Reads the keys with which the cluster signs service accounts' tokens. */
export interface KeySetSource {
  /** The JWK set's text, of at most `maxKeySetBytes`. */
  read(signal: AbortSignal): Promise<
    | { readonly kind: "answer"; readonly text: string }
    | { readonly kind: "unavailable"; readonly problem: string }
  >;
}

/** The key set is read at most this often, whatever key ids tokens state. */
const interval = { seconds: 30 };

const logger = getLogger(["cert-service", "attestation"]);

/** The cluster's keys, read again when a token states a key id that is not among them. */
export class KeySetCache {
  readonly #source: KeySetSource;
  readonly #clock: Clock;
  #keys: ReadonlyMap<string, TokenKey> | undefined;
  #reading: Promise<void> | undefined;
  #readAt: Temporal.Instant | undefined;
  #problem: string | undefined;

  constructor({ source, clock }: { source: KeySetSource; clock: Clock }) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Why the newest key set could not be read. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** The key with an id; undefined when the cluster publishes none, or its keys cannot be read. */
  async find(keyId: string, signal: AbortSignal): Promise<TokenKey | undefined> {
    const key = this.#keys?.get(keyId);
    if (key !== undefined) return key;
    if (this.#reading === undefined && !this.#wasReadRecently()) {
      this.#reading = this.#read().finally(() => this.#reading = undefined);
    }
    // A read in progress may have begun before the key was published; the next one is soon possible.
    if (this.#reading !== undefined) await abortable(this.#reading, signal);
    return this.#keys?.get(keyId);
  }

  #wasReadRecently(): boolean {
    return this.#readAt !== undefined && isWithin(this.#readAt, interval, this.#clock.now());
  }

  /** Does not use a caller's signal, as several callers may wait for it; the call has its own time limit. */
  async #read(): Promise<void> {
    this.#readAt = this.#clock.now();
    const answer = await this.#source.read(new AbortController().signal);
    const parsed = answer.kind === "answer" ? parseKeySet(answer.text) : answer;
    if (parsed.kind === "keys") {
      this.#keys = parsed.keys;
      this.#problem = undefined;
      logger.debug("the cluster publishes {count} keys for tokens", { count: parsed.keys.size });
      return;
    }
    this.#problem = `the cluster's key set cannot be used: ${parsed.problem}`;
    logger.error("{problem}; tokens of unknown keys are reviewed one a second", {
      problem: this.#problem,
    });
  }
}
