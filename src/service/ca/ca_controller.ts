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
import { type CaCheck, loadCa, type LoadedCa } from "./loaded_ca.ts";
import type { CurrentCa } from "./current_ca.ts";
import type { NodeCas } from "./node_cas.ts";
import type { CaSource, CaSourceContent } from "./ca_source.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import { chooseSigningCa, nextChange, nextTrustState, signingMaterial } from "./rotation.ts";
import { describeRotation, logRotation, logSigning } from "./rotation_log.ts";
import { updateTrustDocument } from "./trust_document.ts";
import { emptyTrustState, lastExpiry, type TrustState } from "./trust_state.ts";

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
  /** What the source holds and the trust state does not contain yet. */
  #candidate: CaSourceContent | undefined;
  /** The CA that the source held last. */
  #latest: LoadedCa | undefined;
  /** The CA that signs, or that signed last. */
  #signing: LoadedCa | undefined;
  #state: TrustState | undefined;
  /** Why the CA of the source cannot be used. */
  #rejectionReason: string | undefined;
  /** Why the source cannot be read. */
  #sourceProblem: string | undefined;
  readonly #firstResult = Promise.withResolvers<{ problem: string | undefined }>();

  constructor(options: CaControllerOptions) {
    this.#options = options;
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
    const { currentCa } = this.#options;
    const certificate = currentCa.material?.issuer.certificate;
    const lines = [
      certificate === undefined
        ? currentCa.unavailableReason
        : `signing with ${certificate.subject}, valid until ${certificate.notAfter}`,
      ...(this.#state ? describeRotation(this.#state) : []),
    ];
    if (this.#rejectionReason !== undefined) {
      lines.push(`the new CA cannot be used: ${this.#rejectionReason}`);
    }
    if (this.#sourceProblem !== undefined) lines.push(this.#sourceProblem);
    return lines;
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
    const { clock } = this.#options;
    const content = this.#candidate;
    const candidate = content && await this.#load(content);
    // A compromised key stops signing at once, before the other replicas know of it.
    if (candidate?.compromised) this.#advance(candidate);
    try {
      const settings = this.#settings();
      const state = await updateTrustDocument(
        { ...this.#options, settings },
        this.#state,
        candidate,
        signal,
      );
      if (candidate !== undefined) {
        this.#latest = candidate;
        if (this.#candidate === content) this.#candidate = undefined;
      }
      this.#apply(state);
    } catch (error) {
      // Changes that are due to time alone are applied without the document.
      if (!signal.aborted) {
        this.#advance(undefined);
        this.#firstResult.resolve({ problem: this.#rejectionReason });
      }
      throw error;
    }
    if (content !== undefined) this.#firstResult.resolve({ problem: this.#rejectionReason });
    const next = this.#state && nextChange(this.#state);
    if (this.#rejectionReason === undefined) return next;
    const retryAt = clock.now().add(retryRejectedAfter);
    return next && Temporal.Instant.compare(next, retryAt) < 0 ? next : retryAt;
  }

  /** Returns undefined for a CA that cannot be used: the previous one remains in use. */
  async #load(content: CaSourceContent): Promise<LoadedCa | undefined> {
    const { clock, check, currentCa, nodes } = this.#options;
    const loaded = await loadCa(content, clock.now(), check, nodes?.trustDomain);
    if (loaded.kind === "refused") {
      if (this.#rejectionReason !== loaded.problem) {
        logger.error("the CA cannot be used, {consequence}: {problem}", {
          problem: loaded.problem,
          version: content.version,
          consequence: currentCa.material
            ? "the previous CA remains in use"
            : "no certificate is signed",
        });
      }
      this.#rejectionReason = loaded.problem;
      if (currentCa.material === undefined) {
        const reason = "the CA cannot be used: the service's /readyz states why";
        currentCa.setUnavailable(reason, currentCa.anchors);
      }
      return undefined;
    }
    this.#rejectionReason = undefined;
    for (const warning of loaded.ca.warnings) logger.warn("the CA: {warning}", { warning });
    return loaded.ca;
  }

  #settings() {
    const { delay, longestValidity } = this.#options;
    return { delay, longestValidity: longestValidity() };
  }

  /** Applies what is due, and a candidate, to the state that this replica knows. */
  #advance(candidate: LoadedCa | undefined): void {
    if (this.#state === undefined && candidate === undefined) return;
    if (candidate !== undefined) this.#latest = candidate;
    const now = this.#options.clock.now();
    this.#apply(nextTrustState(this.#state ?? emptyTrustState, candidate, now, this.#settings()));
  }

  #apply(state: TrustState): void {
    logRotation(this.#state, state);
    this.#state = state;
    const { currentCa } = this.#options;
    const signing = chooseSigningCa(state, { latest: this.#latest, previous: this.#signing });
    this.#applyToNodes(signing);
    if (signing === undefined) {
      const anchors = state.anchors.map(({ certificate }) => certificate);
      return currentCa.setUnavailable(this.#unavailableReason(state), anchors);
    }
    if (signing.fingerprint !== this.#signing?.fingerprint) logSigning(signing);
    this.#signing = signing;
    currentCa.replace(signingMaterial(signing, state));
  }

  /**
   * The node CA of the CA that signs issues, and the node CAs of all keys that the replica holds are
   * accepted. That of a compromised CA is rejected at once, when the CA no longer signs.
   */
  #applyToNodes(signing: LoadedCa | undefined): void {
    const latest = this.#latest;
    const held = latest?.compromised ? [latest] : [signing, latest];
    this.#options.nodes?.cas.replace({
      issuing: signing?.nodeCa,
      accepted: held.map((ca) => ca?.nodeCa).filter((nodeCa) => nodeCa !== undefined),
      othersAreCompromised: latest?.compromised ?? false,
    });
  }

  #unavailableReason({ pending }: TrustState): string {
    if (this.#latest !== undefined && pending?.fingerprint === this.#latest.fingerprint) {
      return `the CA signs from ${pending.switchAt} on, when all clients trust it; ` +
        "this replica does not have the key of the previous CA";
    }
    return this.#sourceProblem ?? "this replica has not read the CA that signs now";
  }
}
