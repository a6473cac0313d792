import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/scheduler/abort_signals.ts";
import { fullJitterDelay } from "../../shared/scheduler/backoff.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type ApiResult, toUnavailable } from "./api_result.ts";
import type { ApiClient, WatchEvent } from "./api_client.ts";
import type { ObjectPermission } from "./permissions.ts";

const logger = getLogger(["cert-service", "kubernetes"]);

interface Versioned {
  readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
}

/** The state of a watched object. */
export type Observation<T> =
  | { readonly kind: "object"; readonly object: T }
  | { readonly kind: "absent" }
  /** Reported once for each outage. */
  | { readonly kind: "unavailable"; readonly problem: string };

export interface ObjectWatchOptions {
  readonly clock: Clock;
  readonly random?: () => number;
}

/** A watch is made again after four to five minutes, because a dead connection is not noticed earlier. */
const shortestWatchSeconds = 240;
const watchSpreadSeconds = 60;
/** A server that has not ended the watch this long after its time limit is dead. */
const graceMs = 10_000;
/** Between two reads where the watch is forbidden. */
const pollMs = 10_000;
const backoff = { baseMs: 500, maxMs: 30_000 };
/** An attempt that lasted this long resets the backoff. */
const stableMs = 10_000;

/**
 * Yields an object now and after each change, until aborted. Each attempt opens the watch first and
 * reads the object second, so that no change is missed between the two. An attempt ends when the watch
 * ends, fails or is answered as too old (410). The watch names no version of the object, because an API
 * server that started after the object's last change rejects such a version as too old.
 */
export async function* watchObject<T extends Versioned>(
  client: ApiClient,
  /** To watch the object. */
  permission: ObjectPermission,
  read: (signal: AbortSignal) => Promise<ApiResult<T>>,
  { clock, random = Math.random }: ObjectWatchOptions,
  signal: AbortSignal,
): AsyncGenerator<Observation<T>> {
  const { namespace, name, resource } = permission;
  const path = `/api/v1/namespaces/${namespace}/${resource}`;
  const filter = new ChangeFilter<T>();
  let failures = 0;
  while (!signal.aborted) {
    const began = clock.now();
    const seconds = Math.round(shortestWatchSeconds + random() * watchSpreadSeconds);
    using attempt = new WatchAttempt(clock, seconds * 1000 + graceMs, signal);
    let isForbidden = false;
    try {
      // Version 0: what the server has in its cache, without waiting.
      const query = {
        resourceVersion: "0",
        fieldSelector: `metadata.name=${name}`,
        timeoutSeconds: `${seconds}`,
      };
      const watch = await client.watch(permission, path, query, attempt.signal);
      const observation = filter.ofAnswer(await read(attempt.signal));
      if (observation !== undefined) yield observation;
      isForbidden = watch.kind === "forbidden";
      if (isForbidden) filter.warnOnce(watch);
      if (watch.kind === "answer" && !filter.isUnavailable) {
        for await (const event of watch.value) {
          if (event.type === "ERROR") break;
          const change = filter.ofEvent(event, name);
          if (change !== undefined) yield change;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      logger.debug("the watch of {name} failed: {error}", { name, error });
    }
    attempt[Symbol.dispose]();
    const lastedMs = began.until(clock.now()).total("milliseconds");
    failures = lastedMs >= stableMs ? 1 : failures + 1;
    await pause(clock, isForbidden ? pollMs : fullJitterDelay(failures, backoff, random), signal);
  }
}

/** Passes only states that have not been yielded before. */
class ChangeFilter<T extends Versioned> {
  /** The version that was yielded last; null: the object is absent. */
  #lastVersion: Version | null | undefined;
  isUnavailable = false;
  #hasWarned = false;

  ofAnswer(answer: ApiResult<T>): Observation<T> | undefined {
    const wasUnavailable = this.isUnavailable;
    this.isUnavailable = answer.kind !== "answer" && answer.kind !== "absent";
    // A read is as new as etcd: a lower version means that etcd was restored from a backup.
    if (answer.kind === "answer") return this.#object(answer.value, (one, last) => one !== last);
    if (answer.kind === "absent") return this.#absent();
    return wasUnavailable ? undefined : toUnavailable(answer);
  }

  ofEvent({ type, object }: WatchEvent, name: string): Observation<T> | undefined {
    const changed = object as T;
    if (changed?.metadata?.name !== name) return undefined;
    if (type === "ADDED" || type === "MODIFIED") return this.#object(changed, isLater);
    return type === "DELETED" ? this.#deleted(changed) : undefined;
  }

  warnOnce(watch: ApiResult<unknown>): void {
    if (this.#hasWarned || !("problem" in watch)) return;
    this.#hasWarned = true;
    logger.warn("{problem}; reading the object every {seconds} s instead", {
      problem: watch.problem,
      seconds: pollMs / 1000,
    });
  }

  #object(object: T, isNew: typeof isLater): Observation<T> | undefined {
    const version = versionOf(object);
    if (!isNew(version, this.#lastVersion)) return undefined;
    this.#lastVersion = version;
    return { kind: "object", object };
  }

  #deleted(object: T): Observation<T> | undefined {
    return isLater(versionOf(object), this.#lastVersion) ? this.#absent() : undefined;
  }

  #absent(): Observation<T> | undefined {
    if (this.#lastVersion === null) return undefined;
    this.#lastVersion = null;
    return { kind: "absent" };
  }
}

type Version = bigint | string;

/** Whether an event is news: a watch begins with the former state, which can be older than what was read. */
function isLater(version: Version, lastVersion: Version | null | undefined): boolean {
  if (typeof lastVersion === "bigint" && typeof version === "bigint") return version > lastVersion;
  return version !== lastVersion;
}

/** Versions are decimal numbers that increase in the whole cluster; others can only be compared for equality. */
function versionOf({ metadata }: Versioned): Version {
  const version = metadata?.resourceVersion ?? "";
  return /^[0-9]+$/.test(version) ? BigInt(version) : version;
}

/** The signal of one attempt: aborted with the caller's, and when the attempt takes too long. */
class WatchAttempt implements Disposable {
  readonly #ended = new AbortController();
  readonly #timer: Disposable;
  readonly signal: AbortSignal;

  constructor(clock: Clock, longestMs: number, signal: AbortSignal) {
    this.signal = AbortSignal.any([signal, this.#ended.signal]);
    this.#timer = clock.after(longestMs, () => this.#ended.abort());
  }

  /** Also closes the watch if it is open. */
  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#ended.abort();
  }
}
