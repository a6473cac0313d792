import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { decodePem } from "../../shared/crypto/pem.ts";
import type { CandidateRejection } from "./candidate_check.ts";
import type { CaSourceContent } from "./ca_source.ts";
import { type CaCheck, loadCa, type LoadedCa } from "./loaded_ca.ts";

export interface CandidateLoaderOptions {
  readonly clock: Clock;
  readonly check?: CaCheck | undefined;
  /** The name in the URIs of node certificates; undefined where none are issued. */
  readonly trustDomain?: string | undefined;
}

const logger = getLogger(["cert-service", "ca"]);

/** Loads what the source holds, and remembers why it cannot be used. */
export class CandidateLoader {
  readonly #options: CandidateLoaderOptions;
  #rejected: CaSourceContent | undefined;
  #rejectionReason: string | undefined;
  /** Its warnings have been logged; it is loaded again while it cannot be put into the trust state. */
  #warnedOf: CaSourceContent | undefined;
  #stopsSigning = false;
  #former: LoadedCa | undefined;
  #formerProblem: string | undefined;

  constructor(options: CandidateLoaderOptions) {
    this.#options = options;
  }

  /** Why the CA of the source cannot be used. */
  get rejectionReason(): string | undefined {
    return this.#rejectionReason;
  }

  /** The key of the CA that signs is marked as compromised, and the CA that replaces it cannot be used. */
  get stopsSigning(): boolean {
    return this.#stopsSigning;
  }

  /** The CA before the one of the source, which the source also has. */
  get former(): LoadedCa | undefined {
    return this.#former;
  }

  /** Why the source's former CA cannot be used. */
  get formerProblem(): string | undefined {
    return this.#formerProblem;
  }

  /** Returns undefined for a CA that cannot be used. */
  async load(
    content: CaSourceContent,
    signing: LoadedCa | undefined,
  ): Promise<LoadedCa | undefined> {
    const { clock, check, trustDomain } = this.#options;
    const loaded = await loadCa(content, clock.now(), check, trustDomain);
    await this.#loadFormer(content, loaded.kind === "loaded" ? loaded.ca : undefined);
    if (loaded.kind === "refused") {
      this.#reject(content, { isOlder: false, problem: loaded.problem }, signing);
      return undefined;
    }
    if (this.#rejected !== content) this.#accept();
    if (this.#warnedOf !== content) {
      for (const warning of loaded.ca.warnings) logger.warn("the CA: {warning}", { warning });
    }
    this.#warnedOf = content;
    return { ...loaded.ca, former: this.#former };
  }

  /** States that the source's CA is not put into the trust state, or, without a rejection, that it is. */
  conclude(
    content: CaSourceContent,
    rejection: CandidateRejection | undefined,
    signing: LoadedCa | undefined,
  ): void {
    if (rejection === undefined) this.#accept();
    else this.#reject(content, rejection, signing);
  }

  #accept(): void {
    this.#rejected = undefined;
    this.#rejectionReason = undefined;
    this.#stopsSigning = false;
  }

  #reject(
    content: CaSourceContent,
    { isOlder, problem }: CandidateRejection,
    signing: LoadedCa | undefined,
  ): void {
    const stops = !isOlder && content.compromised && signing !== undefined &&
      !isCaOf(content, signing);
    if (this.#rejectionReason !== problem || this.#stopsSigning !== stops) {
      const consequence = stops
        ? "and no certificate is signed, because the key of the previous CA is marked as compromised"
        : signing
        ? "the previous CA remains in use"
        : "no certificate is signed";
      const properties = { problem, consequence, version: content.source?.version };
      if (isOlder) logger.warn("the CA is not used, {consequence}: {problem}", properties);
      else logger.error("the CA cannot be used, {consequence}: {problem}", properties);
    }
    this.#rejected = content;
    this.#rejectionReason = problem;
    this.#stopsSigning = stops;
  }

  async #loadFormer(content: CaSourceContent, successor: LoadedCa | undefined): Promise<void> {
    const { clock, check, trustDomain } = this.#options;
    const former = { ...content, ...content.former, former: undefined };
    const loaded = content.former === undefined || content.compromised
      ? undefined
      : await loadCa(former, clock.now(), check, trustDomain);
    const problem = loaded?.kind === "refused" ? loaded.problem : undefined;
    if (problem !== undefined && problem !== this.#formerProblem) {
      logger.warn(
        "the former CA (tls-previous.crt and tls-previous.key) cannot be used: {problem}",
        { problem },
      );
    }
    this.#formerProblem = problem;
    const ca = loaded?.kind === "loaded" ? loaded.ca : undefined;
    this.#former = ca?.fingerprint === successor?.fingerprint ? undefined : ca;
  }
}

/** Whether the content begins with the certificate of this CA, so that its key is not the former one. */
function isCaOf({ certificatePem }: CaSourceContent, { issuer }: LoadedCa): boolean {
  const [first] = decodePem("CERTIFICATE", certificatePem);
  return first !== undefined && equalBytes(first, issuer.certificate.der);
}
