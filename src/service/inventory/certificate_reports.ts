import type { Clock } from "../../shared/scheduler/clock.ts";
import { type Certificate, readCertificate } from "../../shared/x509/certificate.ts";
import { verifyChain } from "../../shared/x509/chain.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import type { CurrentCa } from "../ca/current_ca.ts";
import type { Inventory } from "./inventory.ts";
import { bearsOwnName } from "./own_name.ts";
import { type DriverCaller, queueKey } from "../access/authenticator.ts";
import type { PodDirectory } from "../access/pod_authorization.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { FairQueue } from "../../shared/scheduler/fair_queue.ts";

/** A certificate that a volume holds, as its driver reports it. */
export interface ReportedCertificate {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly pod: PodIdentity;
  readonly volumeId: string;
}

export type ReportResult =
  | {
    readonly kind: "reported";
    readonly accepted: number;
    readonly refused: number;
    /** Of those refused: longer than `maxCertificateBytes`. */
    readonly oversized: number;
  }
  | { readonly kind: "unavailable"; readonly reason: string }
  | {
    readonly kind: "overloaded";
    readonly reason: string;
    readonly retryAfter: Temporal.Duration;
  };

/**
 * More than the longest certificate that the service signs: its names are those of a request of at
 * most 32 KiB. A longer one is not even parsed.
 */
export const maxCertificateBytes = 32 * 1024;

/** The result for one certificate; it is not known while the cluster does not answer. */
type EntryResult = "accepted" | "refused" | { readonly unavailable: string };

export interface CertificateReportsOptions {
  readonly currentCa: CurrentCa;
  readonly queue: FairQueue;
  readonly inventory: Inventory;
  readonly clock: Clock;
  readonly clusterDomain: string;
  /** Absent: what callers state of their pods is not verified. */
  readonly pods?: PodDirectory | undefined;
  /** Verifies what is reported; the runtime's own unless given. */
  readonly engine?: SignatureEngine | undefined;
}

/**
 * Fills the inventory of a restarted service. A certificate is accepted if we signed it, it bears the
 * own name of the pod that it is reported for, and that pod exists with its uid on the caller's node.
 */
export class CertificateReports {
  readonly #options: CertificateReportsOptions;

  constructor(options: CertificateReportsOptions) {
    this.#options = options;
  }

  /** Takes in what verifies and refuses the rest; rejects when the signal is aborted. */
  async report(
    caller: DriverCaller,
    reported: readonly ReportedCertificate[],
    signal: AbortSignal,
  ): Promise<ReportResult> {
    const node = caller.kind === "node" ? caller.node : undefined;
    let accepted = 0;
    const parsed = reported.filter(({ certificate }) => certificate.length <= maxCertificateBytes);
    for (const one of parsed) {
      // Each takes its turn: a thousand nodes that report at once must not stop all issuing.
      const queued = await this.#options.queue.run(
        queueKey(caller, one.pod),
        () => this.#acceptReport(one, node, signal),
        signal,
      );
      if (queued.kind === "overloaded") {
        const { retryAfter } = queued;
        return { kind: "overloaded", reason: "too many requests are waiting", retryAfter };
      }
      const { value } = queued;
      if (typeof value === "object") return { kind: "unavailable", reason: value.unavailable };
      if (value === "accepted") accepted++;
    }
    return {
      kind: "reported",
      accepted,
      refused: reported.length - accepted,
      oversized: reported.length - parsed.length,
    };
  }

  async #acceptReport(
    reported: ReportedCertificate,
    node: string | undefined,
    signal: AbortSignal,
  ): Promise<EntryResult> {
    const { inventory, clock, clusterDomain } = this.#options;
    const certificate = readCertificate(reported.certificate);
    if (certificate === undefined || certificate.isCa) return "refused";
    const isKnown = () => inventory.get(certificate.serialNumber) !== undefined;
    const wasKnown = isKnown();
    const isExpired = Temporal.Instant.compare(certificate.notAfter, clock.now()) <= 0;
    const isPlausible = !isExpired && bearsOwnName(certificate, reported.pod, clusterDomain);
    if (!wasKnown && !isPlausible) return "refused";
    if (!await this.#isSignedByUs(certificate)) return "refused";
    if (wasKnown) return "accepted";
    const result = await this.#confirmPod(reported.pod, node, signal);
    // A report never replaces an entry, also not one that was added during the verification.
    if (result === "accepted" && !isKnown()) this.#add(certificate, reported, node);
    return result;
  }

  /** A node could otherwise report another pod's certificate under a uid of its choice. */
  async #confirmPod(
    pod: PodIdentity,
    node: string | undefined,
    signal: AbortSignal,
  ): Promise<EntryResult> {
    const { pods } = this.#options;
    if (pods === undefined) return "accepted";
    const answer = await pods.find(pod, signal);
    if (answer.kind === "unavailable") return { unavailable: answer.problem };
    if (answer.kind === "absent") return "refused";
    const { serviceAccountName, nodeName } = answer.pod;
    const isCallers = node === undefined || nodeName === node;
    return isCallers && serviceAccountName === pod.serviceAccount ? "accepted" : "refused";
  }

  #add(certificate: Certificate, reported: ReportedCertificate, node: string | undefined): void {
    const { serialNumber, commonName, dnsNames, ipAddresses, uris } = certificate;
    const { notBefore, notAfter } = certificate;
    this.#options.inventory.add({
      origin: "reported",
      serialNumber,
      pod: reported.pod,
      volumeId: reported.volumeId,
      node,
      names: { commonName: commonName ?? "", dnsNames, ipAddresses, uris },
      notBefore,
      notAfter,
      predecessor: undefined,
    });
  }

  /** Signed by the issuer of now, or by an anchor that still is one. */
  async #isSignedByUs(certificate: Certificate): Promise<boolean> {
    const { currentCa: { material, anchors }, clock, engine } = this.#options;
    const issuers = material === undefined ? [] : [material.issuer.certificate];
    const candidates = [...issuers, ...anchors];
    const verified = await verifyChain([certificate], candidates, clock.now(), undefined, engine);
    return verified.kind === "verified";
  }
}
