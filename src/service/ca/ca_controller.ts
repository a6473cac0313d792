/**
 * This folder loads the CA, watches its source, rotates from one CA to the next, and shares the state
 * and the trust bundle with the other replicas. Its main types are the port `CaSource` (where the CA
 * comes from), `LoadedCa` (a CA that can sign), `TrustState` (what the replicas agree on), `CurrentCa`
 * (the CA that signs now) and `CaController` (which connects them); `NodeCas` has the node CAs that
 * are derived from it. It never signs a leaf certificate, and never retires a root before the
 * certificates that lead to it have expired, unless an operator marks its CA as compromised.
 */

import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { earlier } from "../../shared/scheduler/instants.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { Certificate } from "../../shared/x509/certificate.ts";
import type { CaCheck, LoadedCa } from "./loaded_ca.ts";
import { CandidateLoader } from "./candidate_loader.ts";
import type { CurrentCa } from "./current_ca.ts";
import type { CandidateRejection } from "./candidate_check.ts";
import { type NodeCas, nodeCasOf } from "./node_cas.ts";
import type { CaSource, CaSourceContent } from "./ca_source.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import { chooseSigningCa, nextChange, nextTrustState, signingMaterial } from "./rotation.ts";
import { describeRotation, describeUnavailable, logRotation, logSigning } from "./rotation_log.ts";
import { updateTrustDocument } from "./trust_document.ts";
import { lastExpiry, type TrustState } from "./trust_state.ts";

export interface CaControllerOptions {
  readonly source: CaSource;
  /** Contains the state that replicas share, and the trust bundle for drivers. */
  readonly document: SharedDocument;
  /** Is given the CA that signs and the trust bundle. */
  readonly currentCa: CurrentCa;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  /** The time from a new CA's publication to its first signature. */
  readonly delay: Temporal.Duration;
  readonly longestValidity: () => Temporal.Duration;
  readonly check?: CaCheck | undefined;
  /** Is given the node CAs of the keys that the replica holds; absent where nodes do not attest. */
  readonly nodes?: { readonly trustDomain: string; readonly cas: NodeCas } | undefined;
}

const jobKey = "ca-rotation";
/** A CA that cannot be used is loaded again after this time: it may not have been valid yet. */
const retryRejectedAfter = { minutes: 1 };

const logger = getLogger(["cert-service", "ca"]);

/** Watches the CA's source: publishes a new CA, signs with it after the delay, retires the previous one. */
export class CaController {
  readonly #options: CaControllerOptions;
  readonly #loader: CandidateLoader;
  /** What the source holds and the trust state does not contain yet. */
  #candidate: CaSourceContent | undefined;
  /** The CA of the source that was put into the trust state last. */
  #latest: LoadedCa | undefined;
  /** The CA that signs, or that signed last. */
  #signing: LoadedCa | undefined;
  #state: TrustState | undefined;
  /** Why the source cannot be read. */
  #sourceProblem: string | undefined;
  /** Why the document cannot be read or written. */
  #documentProblem: string | undefined;
  readonly #firstResult = Promise.withResolvers<{ problem: string | undefined }>();

  constructor(options: CaControllerOptions) {
    this.#options = options;
    const { clock, check, nodes } = options;
    this.#loader = new CandidateLoader({ clock, check, trustDomain: nodes?.trustDomain });
  }

  /** Resolves when the source's first state has been applied, with the reason why its CA cannot be used. */
  get firstResult(): Promise<{ readonly problem: string | undefined }> {
    return this.#firstResult.promise;
  }

  /** When the last certificate expires that was signed until now; undefined before the state is known. */
  get lastExpiry(): Temporal.Instant | undefined {
    return this.#state && lastExpiry(this.#state, this.#options.clock.now());
  }

  /** Watches the source and the document until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#watchSource(signal), this.#watchDocument(signal)]);
    await this.#options.scheduler.cancel(jobKey);
  }

  /** Computes the state again, as when the longest validity has changed. */
  refresh(): void {
    const { scheduler, clock } = this.#options;
    scheduler.schedule(jobKey, clock.now(), (signal) => this.#runJob(signal));
  }

  /** Describes the CA to operators, a sentence each. */
  statusLines(): string[] {
    const { material, unavailableReason } = this.#options.currentCa;
    const { rejectionReason, formerProblem } = this.#loader;
    const certificate = material?.issuer.certificate;
    return [
      certificate === undefined
        ? unavailableReason
        : `signing with ${certificate.subject}, valid until ${certificate.notAfter}`,
      ...(this.#state ? describeRotation(this.#state, this.#latest) : []),
      ...(rejectionReason === undefined ? [] : [`the new CA cannot be used: ${rejectionReason}`]),
      ...(this.#latest?.warnings ?? []).map((warning) => `the CA: ${warning}`),
      ...(formerProblem === undefined ? [] : [`the former CA cannot be used: ${formerProblem}`]),
      ...[this.#sourceProblem, this.#documentProblem].filter((line) => line !== undefined),
    ];
  }

  async #watchSource(signal: AbortSignal): Promise<void> {
    for await (const state of this.#options.source.watch(signal)) {
      switch (state.kind) {
        case "present":
          this.#sourceProblem = undefined;
          this.#candidate = state.content;
          this.refresh();
          break;
        case "absent":
          this.#sourceUnavailable(`the CA does not exist: create ${this.#options.source.name}`);
          break;
        case "unavailable":
          this.#sourceUnavailable(`the CA cannot be read: ${state.problem}`);
          break;
        default:
          state satisfies never;
      }
    }
  }

  async #watchDocument(signal: AbortSignal): Promise<void> {
    for await (const _change of this.#options.document.watch(signal)) this.refresh();
  }

  #sourceUnavailable(problem: string): void {
    this.#sourceProblem = problem;
    const { currentCa } = this.#options;
    if (currentCa.material === undefined) currentCa.setUnavailable(problem, currentCa.anchors);
    const hasPrevious = currentCa.material !== undefined || this.#candidate !== undefined;
    const message = hasPrevious ? `${problem}; the previous CA remains in use` : problem;
    logger.warn("{problem}", { problem: message });
    this.#firstResult.resolve({ problem: undefined });
  }

  async #runJob(signal: AbortSignal): Promise<Temporal.Instant | undefined> {
    const { clock, document } = this.#options;
    const content = this.#candidate;
    const candidate = content && await this.#loader.load(content, this.#signing);
    // A compromised key stops signing at once, before the other replicas know of it.
    if (content?.compromised) this.#advance(content, candidate);
    try {
      const cas = { candidate, latest: this.#latest };
      const options = { ...this.#options, settings: this.#settings() };
      const { state, rejection } = await updateTrustDocument(options, this.#state, cas, signal);
      this.#documentProblem = undefined;
      this.#conclude(content, candidate, rejection);
      if (candidate && this.#latest === candidate && this.#candidate === content) {
        this.#candidate = undefined;
      }
      this.#apply(state);
    } catch (error) {
      if (!signal.aborted) {
        this.#documentProblem = `the trust bundle in ${document.name} cannot be read or written: ` +
          errorMessage(error);
        // Changes that are due to time alone are applied without the document.
        this.#advance(undefined, undefined);
        this.#firstResult.resolve({ problem: this.#loader.rejectionReason });
      }
      throw error;
    }
    const { rejectionReason } = this.#loader;
    if (content !== undefined) this.#firstResult.resolve({ problem: rejectionReason });
    const next = this.#state && nextChange(this.#state);
    if (rejectionReason === undefined) return next;
    const retryAt = clock.now().add(retryRejectedAfter);
    return next === undefined ? retryAt : earlier(next, retryAt);
  }

  #settings() {
    const { delay, longestValidity } = this.#options;
    return { delay, longestValidity: longestValidity() };
  }

  /** Applies what is due, and a candidate, to the state that this replica knows. */
  #advance(content: CaSourceContent | undefined, candidate: LoadedCa | undefined): void {
    // Before the document was read, it is not known which roots are untrusted.
    if (this.#state === undefined) return this.#signNothing(this.#options.currentCa.anchors);
    const now = this.#options.clock.now();
    const { state, rejection } = nextTrustState(this.#state, candidate, now, this.#settings());
    this.#conclude(content, candidate, rejection);
    this.#apply(state);
  }

  #conclude(
    content: CaSourceContent | undefined,
    candidate: LoadedCa | undefined,
    rejection: CandidateRejection | undefined,
  ): void {
    if (content === undefined || candidate === undefined) return;
    this.#loader.conclude(content, rejection, this.#signing);
    if (rejection === undefined) this.#latest = candidate;
  }

  #apply(state: TrustState): void {
    logRotation(this.#state, state);
    this.#state = state;
    const { former, stopsSigning } = this.#loader;
    const held = { latest: this.#latest, former, previous: this.#signing };
    const signing = stopsSigning ? undefined : chooseSigningCa(state, held);
    this.#options.nodes?.cas.replace(nodeCasOf(state, held, { signing, stopsSigning }));
    if (signing === undefined) {
      return this.#signNothing(state.anchors.map(({ certificate }) => certificate));
    }
    if (signing.fingerprint !== this.#signing?.fingerprint) logSigning(signing);
    this.#signing = signing;
    this.#options.currentCa.replace(signingMaterial(signing, state));
  }

  #signNothing(anchors: readonly Certificate[]): void {
    const { currentCa } = this.#options;
    const { stopsSigning, rejectionReason } = this.#loader;
    const reason = describeUnavailable({
      stopsSigning,
      rejectionReason,
      pending: this.#state?.pending,
      latest: this.#latest,
      documentProblem: this.#documentProblem,
      sourceProblem: this.#sourceProblem,
    });
    currentCa.setUnavailable(reason, anchors);
  }
}
