import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { Semaphore } from "../../shared/scheduler/semaphore.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { parseCertificateRequest } from "../../shared/x509/certificate_request.ts";
import type { AttestationAudit } from "./attestation_audit.ts";
import type { AttestationOutcome } from "./attestation_outcome.ts";
import type { AttestationRequest } from "./attestation_request.ts";
import type { IssueNodeCertificate } from "./node_issuer.ts";
import { ReviewLimiter } from "./review_limiter.ts";
import {
  parseServiceAccountToken,
  type ServiceAccountToken,
  unboundReason,
} from "./service_account_token.ts";
import type { TokenSignature, TokenVerifier } from "./token_verifier.ts";

/** Verifies with the cluster that a token is valid now: its pod and its service account exist. */
export interface TokenReviewer {
  review(token: string, signal: AbortSignal): Promise<
    | {
      readonly kind: "verified";
      /** "namespace/name"; undefined for a user that is no service account. */
      readonly account: string | undefined;
      readonly pod: { readonly name: string; readonly uid: string } | undefined;
      /** From Kubernetes 1.30 on. */
      readonly node: string | undefined;
      readonly tokenId: string | undefined;
    }
    | { readonly kind: "refused"; readonly reason: string }
    | { readonly kind: "unavailable"; readonly problem: string }
  >;
}

/** Looks up a pod in the namespace of the driver's service account. */
export interface DriverPods {
  find(name: string, signal: AbortSignal): Promise<
    | { readonly kind: "found"; readonly pod: DriverPod }
    | { readonly kind: "absent" }
    | { readonly kind: "unavailable"; readonly problem: string }
  >;
}

export interface DriverPod {
  readonly uid: string;
  /** Undefined before it is scheduled. */
  readonly node: string | undefined;
  readonly serviceAccount: string;
  /** Succeeded or failed: its containers do not run. */
  readonly finished: boolean;
}

export interface AttestorOptions {
  readonly verifier: TokenVerifier;
  readonly reviewer: TokenReviewer;
  readonly pods: DriverPods;
  readonly issue: IssueNodeCertificate;
  /** "namespace/name" of the driver's service account. */
  readonly account: string;
  readonly audit: AttestationAudit;
  readonly engine: SignatureEngine;
  readonly clock: Clock;
}

const reviewsAtOnce = 16;
const soon = Temporal.Duration.from({ seconds: 5 });
const second = Temporal.Duration.from({ seconds: 1 });

/**
 * Issues a node certificate to a driver that presents its pod's token. The cheapest checks are first:
 * the token's claims, its signature, the API server's review, the pod. A token without a valid
 * signature costs no call to the API server, except for one a second whose key is unknown.
 */
export class Attestor {
  readonly #options: AttestorOptions;
  /** For tokens whose key is unknown. */
  readonly #reviewLimiter: ReviewLimiter;
  readonly #reviews = new Semaphore(reviewsAtOnce);
  /** The uids of pods that are being attested. */
  readonly #underWay = new Set<string>();

  constructor(options: AttestorOptions) {
    this.#options = options;
    this.#reviewLimiter = new ReviewLimiter(options.clock);
  }

  /**
   * Writes the outcome to the audit log, too. It is "unavailable" with the signal's reason when the
   * signal is aborted before.
   */
  async attest(request: AttestationRequest, signal: AbortSignal): Promise<AttestationOutcome> {
    try {
      return await this.#attest(request, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      const reason = errorMessage(signal.reason);
      const outcome = { kind: "unavailable" as const, reason, retryAfter: soon };
      return this.#options.audit.write({ outcome });
    }
  }

  async #attest(request: AttestationRequest, signal: AbortSignal): Promise<AttestationOutcome> {
    const { account, clock, verifier, audit } = this.#options;
    const parsed = parseServiceAccountToken(request.token, account, clock.now());
    if (parsed.kind !== "token") return audit.write({ outcome: parsed });
    const { token } = parsed;
    const signature = await verifier.verify(token, signal);
    if (signature === "bad") {
      const reason = "the token's signature is not by the key of the cluster that it names";
      return audit.write({ outcome: { kind: "unauthenticated", reason } });
    }
    const { uid } = token.pod;
    // Not recorded in #underWay: the signature is not verified, so that any client can name a pod here.
    if (signature === "unknown key") return await this.#reviewed(request, token, signature, signal);
    if (this.#underWay.has(uid)) {
      const reason = "this pod is being attested already";
      return audit.write({ token, outcome: { kind: "overloaded", reason, retryAfter: second } });
    }
    this.#underWay.add(uid);
    try {
      return await this.#reviewed(request, token, signature, signal);
    } finally {
      this.#underWay.delete(uid);
    }
  }

  async #reviewed(
    { certificateRequest }: AttestationRequest,
    token: ServiceAccountToken,
    signature: TokenSignature,
    signal: AbortSignal,
  ): Promise<AttestationOutcome> {
    const { audit, account } = this.#options;
    const signed = signature === "good" ? token : undefined;
    const reviewed = await this.#review(token.token, signature, signal);
    if (reviewed === undefined) {
      const reason =
        "the token's key is not among those that the cluster publishes, and tokens of " +
        "unknown keys are reviewed one a second";
      return audit.write({ outcome: { kind: "unavailable", reason, retryAfter: soon } });
    }
    if (reviewed.kind === "unavailable") {
      const outcome = { kind: reviewed.kind, reason: reviewed.problem, retryAfter: soon };
      return audit.write({ token: signed, outcome });
    }
    if (reviewed.kind === "refused") {
      const { reason } = reviewed;
      return audit.write({ token: signed, outcome: { kind: "unauthenticated", reason } });
    }
    const tokenId = reviewed.tokenId ?? token.tokenId;
    const verified = { ...token, tokenId, node: reviewed.node ?? token.node };
    const denied = (reason: string) =>
      audit.write({ token: verified, outcome: { kind: "denied", reason } });
    if (reviewed.account !== account) {
      return denied(`the token is not of service account ${account}; see DRIVER_SERVICE_ACCOUNT`);
    }
    const { pod } = reviewed;
    if (pod === undefined) return denied(unboundReason(account));
    if (pod.name !== token.pod.name || pod.uid !== token.pod.uid) {
      return denied("the API server names another pod for the token than the token does");
    }
    const node = await this.#nodeOf(verified, signal);
    if (node.kind === "denied") return denied(node.reason);
    if (node.kind === "unavailable") {
      const outcome = { kind: node.kind, reason: node.problem, retryAfter: soon };
      return audit.write({ token: verified, outcome });
    }
    const outcome = await this.#issue(certificateRequest, verified, node.name);
    return audit.write({ token: { ...verified, node: node.name }, outcome });
  }

  /** Returns undefined when too many tokens of unknown keys are reviewed. */
  async #review(token: string, signature: TokenSignature, signal: AbortSignal) {
    const { reviewer } = this.#options;
    if (signature !== "good") {
      return (await this.#reviewLimiter.run(() => reviewer.review(token, signal)))?.value;
    }
    using _place = await this.#reviews.acquire(signal);
    return await reviewer.review(token, signal);
  }

  /** The node on which the token's pod runs now. */
  async #nodeOf({ pod, node }: ServiceAccountToken, signal: AbortSignal) {
    const found = await this.#options.pods.find(pod.name, signal);
    if (found.kind === "unavailable") return found;
    const denied = (reason: string) => ({ kind: "denied" as const, reason });
    const { account } = this.#options;
    if (found.kind === "absent") return denied(`the driver's pod ${pod.name} does not exist`);
    if (found.pod.uid !== pod.uid) {
      return denied(`the driver's pod ${pod.name} is not the one that the token was made for`);
    }
    const isOfAccount = `${account.split("/")[0]}/${found.pod.serviceAccount}` === account;
    if (!isOfAccount || found.pod.node === undefined) {
      return denied(`the pod ${pod.name} does not run as service account ${account} on a node`);
    }
    if (found.pod.finished) return denied(`the driver's pod ${pod.name} is finished`);
    if (node !== undefined && node !== found.pod.node) {
      return denied(`the driver's pod ${pod.name} does not run on the node that the token names`);
    }
    return { kind: "node" as const, name: found.pod.node };
  }

  /** Names in the certificate request are ignored. */
  async #issue(
    certificateRequest: Uint8Array,
    { expiresAt, pod }: ServiceAccountToken,
    node: string,
  ): Promise<AttestationOutcome & { readonly serialNumber?: string }> {
    const { issue, engine, clock } = this.#options;
    const parsed = await parseCertificateRequest(certificateRequest, engine);
    if (parsed.kind === "refused") return { kind: "malformed", reason: parsed.problem };
    if (Temporal.Instant.compare(expiresAt.subtract({ seconds: 10 }), clock.now()) <= 0) {
      return {
        kind: "unauthenticated",
        reason: `the token expires at ${expiresAt}: read it again`,
      };
    }
    const { spki } = parsed;
    const issued = await issue({ spki, node, podUid: pod.uid, notAfter: expiresAt });
    if (issued.kind === "issued") return issued;
    return { kind: "unavailable", reason: issued.reason, retryAfter: soon };
  }
}
