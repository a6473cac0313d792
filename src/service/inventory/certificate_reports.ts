import type { Clock } from "../../shared/scheduler/clock.ts";
import { type Certificate, readCertificate } from "../../shared/x509/certificate.ts";
import { verifyChain } from "../../shared/x509/chain.ts";
import { parseDnsName } from "../../shared/text/name_syntax.ts";
import { podDnsName } from "../policy/default_names.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import type { CurrentCa } from "../ca/current_ca.ts";
import type { Inventory } from "./inventory.ts";
import { type DriverCaller, queueKey } from "../access/authenticator.ts";
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
  | { readonly kind: "reported"; readonly accepted: number; readonly refused: number }
  | {
    readonly kind: "overloaded";
    readonly reason: string;
    readonly retryAfter: Temporal.Duration;
  };

export interface CertificateReportsOptions {
  readonly currentCa: CurrentCa;
  readonly queue: FairQueue;
  readonly inventory: Inventory;
  readonly clock: Clock;
  readonly clusterDomain: string;
  /** Verifies what is reported; the runtime's own unless given. */
  readonly engine?: SignatureEngine | undefined;
}

/**
 * Fills the inventory of a restarted service. Only certificates that we signed are accepted: the
 * names on a certificate, and that they belong to the pod which it is reported for.
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
    for (const one of reported) {
      // Each takes its turn: a thousand nodes that report at once must not stop all issuing.
      const queued = await this.#options.queue.run(
        queueKey(caller, one.pod),
        () => this.#acceptReport(one, node),
        signal,
      );
      if (queued.kind === "overloaded") {
        const { retryAfter } = queued;
        return { kind: "overloaded", reason: "too many requests are waiting", retryAfter };
      }
      if (queued.value) accepted++;
    }
    return { kind: "reported", accepted, refused: reported.length - accepted };
  }

  async #acceptReport(reported: ReportedCertificate, node: string | undefined): Promise<boolean> {
    const { inventory, clock } = this.#options;
    const certificate = readCertificate(reported.certificate);
    if (certificate === undefined || certificate.isCa) return false;
    const isKnown = () => inventory.get(certificate.serialNumber) !== undefined;
    const wasKnown = isKnown();
    const isExpired = Temporal.Instant.compare(certificate.notAfter, clock.now()) <= 0;
    if (!wasKnown && (isExpired || !this.#belongsTo(certificate, reported.pod))) return false;
    if (!await this.#isSignedByUs(certificate)) return false;
    // A report never replaces an entry, also not one that was added during the verification.
    if (wasKnown || isKnown()) return true;
    const { serialNumber, commonName, dnsNames, ipAddresses, uris } = certificate;
    const { notBefore, notAfter } = certificate;
    inventory.add({
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
    return true;
  }

  /** Every leaf bears its pod's own name, unless that is none that DNS could have. */
  #belongsTo({ dnsNames }: Certificate, pod: PodIdentity): boolean {
    const name = parseDnsName(podDnsName(pod, this.#options.clusterDomain));
    return name === undefined || dnsNames.includes(name);
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
