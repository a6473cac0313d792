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
  /** It is the driver that is not accepted, not its request: another driver may make the same one. */
  | { readonly kind: "unauthenticated"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

interface Answer {
  readonly runs: boolean;
  readonly answeredAt: Temporal.Instant;
}

/** A driver pod that is gone can issue for this much longer at most while the API server answers. */
const freshFor = { seconds: 60 };
/** While the API server is unavailable, answers are used for this long. */
const keptFor = { minutes: 10 };
/** After a failure the kept answers serve for this long before the API server is called again. */
const failurePause = { seconds: 5 };
/** More than there are nodes. */
const mostRemembered = 10_000;

/**
 * Confirms before each issue that the driver pod for which a node certificate was made still runs on
 * its node; a node certificate outlives its pod by up to an hour otherwise.
 */
export class DriverPodCheck {
  readonly #directory: DriverPodDirectory;
  readonly #clock: Clock;
  /** By node and uid, the oldest answer first. */
  readonly #answers = new Map<string, Answer>();
  /** Callers of one pod at the same time wait for one look-up. */
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
    if (known !== undefined && this.#mayServe(known)) return decision(known.runs, node, podUid);
    let lookUp = this.#underWay.get(key);
    if (lookUp === undefined) {
      lookUp = this.#lookUp(key, node, podUid).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, lookUp);
    }
    return await abortable(lookUp, signal);
  }

  /** Not under any caller's signal, as others may wait for it; the call has a time limit of its own. */
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
    if (this.#answers.size > mostRemembered) {
      const [oldest] = this.#answers.keys();
      if (oldest !== undefined) this.#answers.delete(oldest);
    }
    return decision(answer.runs, node, uid);
  }

  #mayServe({ answeredAt }: Answer): boolean {
    const now = this.#clock.now();
    const hasFailed = this.#failedAt !== undefined && isWithin(this.#failedAt, failurePause, now);
    return isWithin(answeredAt, hasFailed ? keptFor : freshFor, now);
  }
}

function decision(runs: boolean, node: string, podUid: string): DriverPodDecision {
  if (runs) return { kind: "confirmed" };
  const reason = `the driver's pod ${podUid} does not run on node ${node} any more`;
  return { kind: "unauthenticated", reason };
}
