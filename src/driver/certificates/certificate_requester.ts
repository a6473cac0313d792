/**
 * This folder gets a key and a certificate for one volume, verifies the answer of the certificate
 * service, and calculates when the certificate is renewed. Its main types are
 * `CertificateRequester`, `IssuedPair`, `CertificateTerms` and the port `IssuanceClient`. It never
 * uses a disk or a mount, and never imports gRPC.
 */

import type { BootClock, Moment } from "../../shared/scheduler/clock.ts";
import { EventLoopLimiter } from "../../shared/scheduler/event_loop_yield.ts";
import { Semaphore } from "../../shared/scheduler/semaphore.ts";
import type { VolumeAttributes } from "../../shared/attributes/volume_attributes.ts";
import { type Certificate, readCertificate } from "../../shared/x509/certificate.ts";
import { createCertificateRequest } from "../../shared/x509/certificate_request.ts";
import { verifyChain } from "../../shared/x509/chain.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { equalBytes } from "../../shared/crypto/der_reader.ts";
import {
  exportPrivateKey,
  exportPublicKey,
  importPrivateKey,
} from "../../shared/crypto/key_pairs.ts";
import { encodePem } from "../../shared/crypto/pem.ts";
import { type CertificateTerms, issueTime, lifetimeMs } from "./certificate_terms.ts";
import { clockSkewMs } from "./clock_skew.ts";
import { isSlowToGenerate, type KeyGenerator } from "./key_generator.ts";
import { abortable } from "../../shared/scheduler/abort_signals.ts";
import { SpareKey } from "./spare_key.ts";
import type { IssuanceClient, IssueOutcome, IssueRequest } from "./issuance_client.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";

/** The longest a call waits for the certificate service. */
const requestTimeoutMs = 20_000;
/** Volumes for which certificates are requested at once; with more, a node full of new pods answers too slowly. */
const mostAtOnce = 32;

/** What a request for a volume's certificate depends on. */
export interface IssueParameters {
  readonly volumeId: string;
  readonly volumeName: string;
  readonly pod: PodIdentity;
  readonly attributes: Readonly<Record<string, string>>;
  readonly parsed: VolumeAttributes;
  /** The serial number of the certificate that is renewed. */
  readonly predecessor: string | undefined;
  /** The key to use again (`reuse-private-key`), PKCS#8 PEM. */
  readonly privateKeyPem: string | undefined;
}

/** A key and its certificate that were checked against each other and against the trust bundle. */
export interface IssuedPair {
  readonly kind: "issued";
  readonly leaf: Certificate;
  readonly terms: CertificateTerms;
  /** How far the service's wall clock is ahead of the node's; negative when it is behind. */
  readonly clockSkewMs: number;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly trustBundlePem: string;
}

export type IssueResult = IssuedPair | Exclude<IssueOutcome, { kind: "issued" }>;

/** Requests a volume's certificate for a new key; both exist in memory only. */
export class CertificateRequester {
  readonly #issuer: IssuanceClient;
  readonly #keys: KeyGenerator;
  readonly #clock: BootClock;
  readonly #onClockSkew: (skewMs: number) => void;
  readonly #spare = new SpareKey();
  readonly #semaphore = new Semaphore(mostAtOnce);
  /** Renewals wait here first, so that a first certificate never waits for all renewals that are due. */
  readonly #renewals = new Semaphore(mostAtOnce);
  /** To verify an answer blocks the event loop, and many answers arrive together. */
  readonly #eventLoop = new EventLoopLimiter();

  /** `onClockSkew` receives how far the service's clock is ahead of the node's, with each certificate. */
  constructor(
    issuer: IssuanceClient,
    keys: KeyGenerator,
    clock: BootClock,
    onClockSkew: (skewMs: number) => void = () => {},
  ) {
    this.#issuer = issuer;
    this.#keys = keys;
    this.#clock = clock;
    this.#onClockSkew = onClockSkew;
  }

  /** Rejects with the signal's reason when that is aborted; a slow service is `unavailable`. */
  async issue(parameters: IssueParameters, signal: AbortSignal): Promise<IssueResult> {
    const { predecessor, privateKeyPem, parsed: { keyAlgorithm } } = parameters;
    // A volume that waits for a slow key has no permit: the others do not wait for it.
    const slowKey = isSlowToGenerate(keyAlgorithm)
      ? await this.#keyPair(parameters, signal)
      : undefined;
    using _renewal = predecessor === undefined ? undefined : await this.#renewals.acquire(signal);
    using _permit = await this.#semaphore.acquire(signal);
    const spare = privateKeyPem === undefined ? this.#spare.take(keyAlgorithm) : undefined;
    const keyPair = slowKey ?? spare?.keyPair ?? await this.#keyPair(parameters, signal);
    const request: IssueRequest = {
      certificateRequest: spare?.certificateRequest ?? await createCertificateRequest(keyPair),
      pod: parameters.pod,
      volumeId: parameters.volumeId,
      volumeName: parameters.volumeName,
      attributes: parameters.attributes,
      predecessor,
    };
    const sentAt = this.#clock.now();
    const answer = this.#request(request, signal);
    // The next key is made while the service works on this request.
    void this.#spare.refill();
    const outcome = await answer;
    if (outcome.kind !== "issued") return outcome;
    await this.#eventLoop.acquire();
    const exchange = { sentAt, received: this.#clock.moment() };
    const checked = await verifyAnswer(outcome, keyPair, exchange);
    if (checked.kind !== "issued") return checked;
    this.#keys.discard(parameters.volumeId);
    this.#onClockSkew(checked.clockSkewMs);
    return checked;
  }

  async #keyPair(parameters: IssueParameters, signal: AbortSignal): Promise<CryptoKeyPair> {
    if (parameters.privateKeyPem !== undefined) {
      const imported = await importPrivateKey(parameters.privateKeyPem);
      // A key of another algorithm than the attributes request, or a damaged one, is replaced.
      if (imported.kind === "key" && imported.algorithm === parameters.parsed.keyAlgorithm) {
        return imported.keyPair;
      }
    }
    return await this.#keys.generate(parameters.volumeId, parameters.parsed.keyAlgorithm, signal);
  }

  async #request(request: IssueRequest, signal: AbortSignal): Promise<IssueOutcome> {
    const slow = new AbortController();
    using _timer = this.#clock.after(requestTimeoutMs, () => slow.abort(new Error("timeout")));
    const either = AbortSignal.any([signal, slow.signal]);
    try {
      return await abortable(this.#issuer.issue(request, either), either);
    } catch (error) {
      signal.throwIfAborted();
      if (!slow.signal.aborted) throw error;
      return {
        kind: "unavailable",
        reason: `the certificate service did not answer within ${requestTimeoutMs / 1000} s`,
      };
    }
  }
}

/** When a request was sent and its answer received. */
interface Exchange {
  readonly sentAt: Temporal.Instant;
  readonly received: Moment;
}

/**
 * Verifies the service's answer against the key that was sent and the trust bundle, before it is mounted. The dates are
 * compared with the time of issue, which the certificate states: the node's clock can be wrong.
 */
async function verifyAnswer(
  answer: Extract<IssueOutcome, { kind: "issued" }>,
  keyPair: CryptoKeyPair,
  { sentAt, received }: Exchange,
): Promise<IssueResult> {
  const chain = answer.chain.map(readCertificate);
  const anchors = answer.trustBundle.map(readCertificate);
  const [leaf] = chain;
  if (leaf === undefined || !chain.every(isCertificate) || !anchors.every(isCertificate)) {
    return invalidAnswer("contains something that is not a certificate");
  }
  if (!equalBytes(leaf.spki, await exportPublicKey(keyPair.publicKey))) {
    return invalidAnswer("is for another key than the one sent");
  }
  if (lifetimeMs(leaf) <= 0) return invalidAnswer("is a certificate that expires as it is issued");
  const verdict = await verifyChain(chain, anchors, issueTime(leaf), maxClockSkew);
  if (verdict.kind === "refused") return invalidAnswer(`does not verify: ${verdict.problem}`);
  const { wall, bootMs, bootId } = received;
  const { notBefore, notAfter } = leaf;
  return {
    kind: "issued",
    leaf,
    terms: { notBefore, notAfter, issuedAt: wall, receivedBootMs: bootMs, bootId },
    clockSkewMs: clockSkewMs(issueTime(leaf), sentAt, wall),
    certificatePem: answer.chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
    privateKeyPem: await exportPrivateKey(keyPair.privateKey),
    trustBundlePem: trustBundlePem(answer.trustBundle),
  };
}

/** A trust bundle as the text of `ca.crt`; the same anchors always give the same text. */
export function trustBundlePem(certificates: readonly Uint8Array[]): string {
  return [...new Set(certificates.map((der) => encodePem("CERTIFICATE", der)))].sort().join("");
}

function invalidAnswer(problem: string): IssueOutcome & { kind: "unavailable" } {
  return { kind: "unavailable", reason: `the certificate service's answer ${problem}` };
}

function isCertificate(certificate: Certificate | undefined): certificate is Certificate {
  return certificate !== undefined;
}
