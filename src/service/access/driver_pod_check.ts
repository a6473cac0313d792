import { abortable } from "../../shared/scheduler/abort_signals.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { isWithin } from "../../shared/scheduler/instants.ts";

/** Looks for the pod of a driver by its node and uid. */
export interface DriverPodDirectory {
  /** Whether a pod of the driver with this uid runs on this node. */
  runs(
    pod: { readonly node: string; readonly uid: string },
    signal: AbortSignal,
  ): Promise<
    | { readonly kind: "answer"; readonly runs: boolean }
    | { readonly kind: "unavailable"; readonly problem: string }
  >;
}

export type DriverPodDecision =
  | { readonly kind: "confirmed" }
  /** The driver is rejected, not the request: another driver may send the same one. */
  | { readonly kind: "unauthenticated"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

interface Answer {
  readonly runs: boolean;
  readonly answeredAt: Temporal.Instant;
}

/** An answer is used for this long: a deleted driver pod can request certificates until then. */
const freshFor = { seconds: 60 };
/** An answer is used for this long while the API server is unavailable. */
const keptFor = { minutes: 10 };
/** After a failure the API server is not called again for this long where an answer is known. */
const failurePause = { seconds: 5 };
/** More than there are nodes. */
const maxRemembered = 10_000;

/**
 * Confirms before each issue that the driver pod for which a node certificate was made still runs on
 * its node; a node certificate outlives its pod by up to an hour otherwise.
 */
export class DriverPodCheck {
  readonly #directory: DriverPodDirectory;
  readonly #clock: Clock;
  /** By node and uid, the oldest answer first. */
  readonly #answers = new Map<string, Answer>();
  /** Concurrent calls for one pod wait for one look-up. */
  readonly #underWay = new Map<string, Promise<DriverPodDecision>>();
  #failedAt: Temporal.Instant | undefined;

  constructor({ directory, clock }: { directory: DriverPodDirectory; clock: Clock }) {
    this.#directory = directory;
    this.#clock = clock;
  }

  /** Rejects only when the signal is aborted. */
  async confirm(node: string, podUid: string, signal: AbortSignal): Promise<DriverPodDecision> {
    const key = `${node} ${podUid}`;
    const known = this.#answers.get(key);
    if (known !== undefined && this.#isUsable(known)) return decision(known.runs, node, podUid);
    let lookUp = this.#underWay.get(key);
    if (lookUp === undefined) {
      lookUp = this.#lookUp(key, node, podUid).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, lookUp);
    }
    return await abortable(lookUp, signal);
  }

  /** Does not use a caller's signal, as several callers may wait for it; the call has its own time limit. */
  async #lookUp(key: string, node: string, uid: string): Promise<DriverPodDecision> {
    const answer = await this.#directory.runs({ node, uid }, new AbortController().signal);
    if (answer.kind === "unavailable") {
      this.#failedAt = this.#clock.now();
      const known = this.#answers.get(key);
      if (known !== undefined && isWithin(known.answeredAt, keptFor, this.#clock.now())) {
        return decision(known.runs, node, uid);
      }
      return { kind: "unavailable", reason: answer.problem };
    }
    this.#failedAt = undefined;
    this.#answers.delete(key);
    this.#answers.set(key, { runs: answer.runs, answeredAt: this.#clock.now() });
    if (this.#answers.size > maxRemembered) {
      const [oldest] = this.#answers.keys();
      if (oldest !== undefined) this.#answers.delete(oldest);
    }
    return decision(answer.runs, node, uid);
  }

  #isUsable({ answeredAt }: Answer): boolean {
    const now = this.#clock.now();
    const hasFailed = this.#failedAt !== undefined && isWithin(this.#failedAt, failurePause, now);
    return isWithin(answeredAt, hasFailed ? keptFor : freshFor, now);
  }
}

function decision(runs: boolean, node: string, podUid: string): DriverPodDecision {
  if (runs) return { kind: "confirmed" };
  const reason = `the driver's pod ${podUid} no longer runs on node ${node}`;
  return { kind: "unauthenticated", reason };
}
