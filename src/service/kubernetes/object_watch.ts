import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/scheduler/abort_signals.ts";
import { fullJitterDelay } from "../../shared/scheduler/backoff.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type ApiResult, toUnavailable } from "./api_result.ts";
import type { ApiClient, WatchEvent } from "./api_client.ts";
import type { Permission } from "./permissions.ts";

const logger = getLogger(["cert-service", "kubernetes"]);

/** What is followed: one object. */
export interface WatchedObject<T> {
  readonly read: (signal: AbortSignal) => Promise<ApiResult<T>>;
  /** The path of the collection that the object is in. */
  readonly path: string;
  readonly name: string;
  /** Of the watch. */
  readonly permission: Permission;
}

export interface Versioned {
  readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
}

export type Observation<T> =
  | { readonly kind: "object"; readonly object: T }
  | { readonly kind: "absent" }
  /** Reported once for each outage. */
  | { readonly kind: "unavailable"; readonly problem: string };

export interface ObjectWatchOptions {
  readonly clock: Clock;
  readonly random?: () => number;
}

/** A watch ends after four to five minutes and is made again: so long can a dead connection go unnoticed. */
const shortestWatchSeconds = 240;
const watchSpreadSeconds = 60;
/** The server ends a watch in time, unless it is gone. */
const graceMs = 10_000;
/** Where no watch is allowed. */
const pollMs = 10_000;
const backoff = { baseMs: 500, maxMs: 30_000 };
/** What lasted so long was no failure to begin. */
const soundMs = 10_000;

/**
 * An object now and after each change, until aborted. For each attempt the watch is opened first and
 * the object got second, so that no change falls between the two; a watch that ends, breaks or is
 * answered that it is too old (410) is the end of an attempt. The watch names no version of the object: an
 * API server that began after the object's last change takes such a version for too old.
 */
export async function* watchObject<T extends Versioned>(
  connection: ApiClient,
  followed: WatchedObject<T>,
  { clock, random = Math.random }: ObjectWatchOptions,
  signal: AbortSignal,
): AsyncGenerator<Observation<T>> {
  const filter = new ChangeFilter<T>();
  let failures = 0;
  while (!signal.aborted) {
    const began = clock.now();
    const seconds = Math.round(shortestWatchSeconds + random() * watchSpreadSeconds);
    using attempt = new WatchAttempt(clock, seconds * 1000 + graceMs, signal);
    let isForbidden = false;
    try {
      // Version 0: from what the server has in its cache, which is at once.
      const query = {
        resourceVersion: "0",
        fieldSelector: `metadata.name=${followed.name}`,
        timeoutSeconds: `${seconds}`,
      };
      const watch = await connection.watch(
        followed.permission,
        followed.path,
        query,
        attempt.signal,
      );
      const observation = filter.ofAnswer(await followed.read(attempt.signal));
      if (observation !== undefined) yield observation;
      isForbidden = watch.kind === "forbidden";
      if (isForbidden) filter.warnOnce(watch);
      if (watch.kind === "answer" && !filter.isUnavailable) {
        for await (const event of watch.value) {
          if (event.type === "ERROR") break;
          const change = filter.ofEvent(event, followed.name);
          if (change !== undefined) yield change;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      logger.debug("the watch of {name} broke: {error}", { name: followed.name, error });
    }
    attempt[Symbol.dispose]();
    const lastedMs = began.until(clock.now()).total("milliseconds");
    failures = lastedMs >= soundMs ? 1 : failures + 1;
    await pause(clock, isForbidden ? pollMs : fullJitterDelay(failures, backoff, random), signal);
  }
}

/** Lets pass what has not been yielded before. */
class ChangeFilter<T extends Versioned> {
  /** The version that was yielded last; null: that the object is absent. */
  #lastVersion: bigint | string | null | undefined;
  isUnavailable = false;
  #hasWarned = false;

  ofAnswer(answer: ApiResult<T>): Observation<T> | undefined {
    const wasUnavailable = this.isUnavailable;
    this.isUnavailable = answer.kind !== "answer" && answer.kind !== "absent";
    if (answer.kind === "answer") return this.#object(answer.value);
    if (answer.kind === "absent") return this.#absent();
    return wasUnavailable ? undefined : toUnavailable(answer);
  }

  ofEvent({ type, object }: WatchEvent, name: string): Observation<T> | undefined {
    const changed = object as T;
    if (changed?.metadata?.name !== name) return undefined;
    if (type === "ADDED" || type === "MODIFIED") return this.#object(changed);
    return type === "DELETED" ? this.#deleted(changed) : undefined;
  }

  warnOnce(watch: ApiResult<unknown>): void {
    if (this.#hasWarned || !("problem" in watch)) return;
    this.#hasWarned = true;
    logger.warn("{problem}; looking each {seconds} s instead", {
      problem: watch.problem,
      seconds: pollMs / 1000,
    });
  }

  #object(object: T): Observation<T> | undefined {
    const version = versionOf(object);
    if (!this.#isNew(version)) return undefined;
    this.#lastVersion = version;
    return { kind: "object", object };
  }

  #deleted(object: T): Observation<T> | undefined {
    return this.#isNew(versionOf(object)) ? this.#absent() : undefined;
  }

  #absent(): Observation<T> | undefined {
    if (this.#lastVersion === null) return undefined;
    this.#lastVersion = null;
    return { kind: "absent" };
  }

  /** The watch begins with what was there before, and can be behind what was read. */
  #isNew(version: bigint | string): boolean {
    const lastVersion = this.#lastVersion;
    if (typeof lastVersion === "bigint" && typeof version === "bigint") {
      return version > lastVersion;
    }
    return version !== lastVersion;
  }
}

/** Versions are decimal numbers that grow over the whole cluster; other ones only differ. */
function versionOf({ metadata }: Versioned): bigint | string {
  const version = metadata?.resourceVersion ?? "";
  return /^[0-9]+$/.test(version) ? BigInt(version) : version;
}

/** One attempt's signal: aborted with the caller's, and when the attempt takes too long. */
class WatchAttempt implements Disposable {
  readonly #over = new AbortController();
  readonly #timer: Disposable;
  readonly signal: AbortSignal;

  constructor(clock: Clock, longestMs: number, signal: AbortSignal) {
    this.signal = AbortSignal.any([signal, this.#over.signal]);
    this.#timer = clock.after(longestMs, () => this.#over.abort());
  }

  /** Also ends what is still open. */
  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#over.abort();
  }
}
