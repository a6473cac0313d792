/**
 * This folder loads the CA, follows its source, rotates from one CA to the next, and shares the
 * state and the trust bundle with the other replicas. Its main types are `CaController`,
 * `CurrentCa`, `LoadedCa`, `TrustState` and the port `CaSource`. It never signs a leaf certificate,
 * and never retires a root before the certificates that lead to it have expired, unless an operator
 * marks its CA as compromised.
 */

import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { type CaCheck, loadCa, type LoadedCa } from "./loaded_ca.ts";
import type { CurrentCa } from "./current_ca.ts";
import type { NodeCas } from "./node_cas.ts";
import type { CaSource, CaSourceContent } from "./ca_source.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import { nextChange, nextTrustState } from "./rotation.ts";
import { describeRotation, logRotation, logSigning } from "./rotation_log.ts";
import { chooseSigningCa, isCurrentMaterial, signingMaterial } from "./signing_ca_choice.ts";
import { updateTrustDocument } from "./trust_document.ts";
import { emptyTrustState, type TrustState } from "./trust_state.ts";

export interface CaControllerOptions {
  readonly source: CaSource;
  /** Where replicas agree on the state, and drivers find the trust bundle. */
  readonly document: SharedDocument;
  /** Receives the CA that signs and the trust bundle. */
  readonly currentCa: CurrentCa;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  /** From a new CA's publication to its first signature. */
  readonly delay: Temporal.Duration;
  readonly longestValidity: () => Temporal.Duration;
  readonly check?: CaCheck;
  /** Where node certificates are issued: receives the node CAs of the keys that are held. */
  readonly nodes?: { readonly trustDomain: string; readonly cas: NodeCas } | undefined;
}

const jobKey = "ca-rotation";
/** A CA that was refused can become good by itself: it may not be valid yet. */
const refusedAgain = { minutes: 1 };

const logger = getLogger(["cert-service", "ca"]);

/** Follows the CA's source: publishes a new CA, signs with it after the delay, retires the old one. */
export class CaController {
  readonly #options: CaControllerOptions;
  /** What the source holds and the state does not contain yet. */
  #candidate: CaSourceContent | undefined;
  /** The CA that the source holds; the one that signs, until another does. */
  #latest: LoadedCa | undefined;
  #signing: LoadedCa | undefined;
  #state: TrustState | undefined;
  #rejectionReason: string | undefined;
  /** What is wrong with the source itself. */
  #sourceProblem: string | undefined;
  readonly #firstResult = Promise.withResolvers<{ problem: string | undefined }>();

  constructor(options: CaControllerOptions) {
    this.#options = options;
  }

  /** Resolves when the source's first state has been applied, with the reason why its CA cannot sign. */
  get firstResult(): Promise<{ readonly problem: string | undefined }> {
    return this.#firstResult.promise;
  }

  /** Follows until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#followSource(signal), this.#followDocument(signal)]);
    await this.#options.scheduler.cancel(jobKey);
  }

  /** Looks again: the longest validity has changed. */
  refresh(): void {
    const { scheduler, clock } = this.#options;
    scheduler.schedule(jobKey, clock.now(), (signal) => this.#runJob(signal));
  }

  /** What an operator wants to know, a sentence each. */
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
      lines.push(`the CA of the source is refused: ${this.#rejectionReason}`);
    }
    if (this.#sourceProblem !== undefined) lines.push(this.#sourceProblem);
    return lines;
  }

  async #followSource(signal: AbortSignal): Promise<void> {
    for await (const state of this.#options.source.watch(signal)) {
      switch (state.kind) {
        case "secret":
          this.#sourceProblem = undefined;
          this.#candidate = state.secret;
          this.refresh();
          break;
        case "absent":
          this.#sourceUnavailable("the CA is not there: it is waited for");
          break;
        case "unavailable":
          this.#sourceUnavailable(`the CA cannot be read: ${state.problem}`);
          break;
        default:
          state satisfies never;
      }
    }
  }

  async #followDocument(signal: AbortSignal): Promise<void> {
    for await (const _change of this.#options.document.watch(signal)) this.refresh();
  }

  #sourceUnavailable(problem: string): void {
    this.#sourceProblem = problem;
    const { currentCa } = this.#options;
    if (currentCa.material === undefined) currentCa.setUnavailable(problem, currentCa.anchors);
    const keepsFormer = currentCa.material !== undefined || this.#candidate !== undefined;
    const shown = keepsFormer ? `${problem}; the former CA stays in use` : problem;
    logger.warn("{problem}", { problem: shown });
    this.#firstResult.resolve({ problem: undefined });
  }

  async #runJob(signal: AbortSignal): Promise<Temporal.Instant | undefined> {
    const { clock } = this.#options;
    const secret = this.#candidate;
    const candidate = secret && await this.#load(secret);
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
        if (this.#candidate === secret) this.#candidate = undefined;
      }
      this.#apply(state);
    } catch (error) {
      // Changes that are only due to time are applied without the document.
      if (!signal.aborted) {
        this.#advance(undefined);
        this.#firstResult.resolve({ problem: this.#rejectionReason });
      }
      throw error;
    }
    if (secret !== undefined) this.#firstResult.resolve({ problem: this.#rejectionReason });
    const next = this.#state && nextChange(this.#state);
    if (this.#rejectionReason === undefined) return next;
    const again = clock.now().add(refusedAgain);
    return next && Temporal.Instant.compare(next, again) < 0 ? next : again;
  }

  /** Undefined when it is refused: the former CA stays in use. */
  async #load(secret: CaSourceContent): Promise<LoadedCa | undefined> {
    const { clock, check, currentCa, nodes } = this.#options;
    const loaded = await loadCa(secret, clock.now(), check, nodes?.trustDomain);
    if (loaded.kind === "refused") {
      if (this.#rejectionReason !== loaded.problem) {
        logger.error("the CA is refused, {consequence}: {problem}", {
          problem: loaded.problem,
          version: secret.version,
          consequence: currentCa.material ? "the former CA stays in use" : "nothing is signed",
        });
      }
      this.#rejectionReason = loaded.problem;
      if (currentCa.material === undefined) {
        currentCa.setUnavailable("the CA cannot be used: its operator finds why in /readyz", [
          ...currentCa.anchors,
        ]);
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

  /** As far as this replica knows. */
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
    const material = signingMaterial(signing, state);
    if (!isCurrentMaterial(currentCa, material)) currentCa.replace(material);
  }

  /**
   * The node CA of the CA that signs issues, and those of all keys that are held are accepted. A
   * compromised CA's goes at once, with the state that makes it sign no more.
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
      return `the CA signs from ${pending.switchAt} on, when all have learnt to trust it; ` +
        "the one before it is not there any more";
    }
    return this.#sourceProblem ?? "the CA that is to sign has not been seen here yet";
  }
}
