import { createHash } from "node:crypto";
import { equalBytes } from "../../shared/crypto/der_reader.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import type { PeerDecision, PeerVerifier } from "../../shared/grpc_server/peer_verifier.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { earlier } from "../../shared/scheduler/instants.ts";
import { type Certificate, readCertificate } from "../../shared/x509/certificate.ts";
import { verifyChain } from "../../shared/x509/chain.ts";
import { clientCaRejectionReason, type ClientCaSource } from "./client_ca_source.ts";
import { type ClientIdentity, readClientIdentity } from "./node_identity.ts";

/** States which client certificates of nodes are rejected although they are valid. */
export interface NodeDenials {
  /** Whether the node's certificate of this notBefore was made before the node was revoked. */
  isDenied(node: string, notBefore: Temporal.Instant): boolean;
  /** Calls back when more certificates may be denied than before. */
  onChange(listener: () => void): Disposable;
}

export interface NodeCertificateVerifierOptions {
  readonly clientCas: ClientCaSource;
  /** Absent: no node is revoked. */
  readonly denials?: NodeDenials | undefined;
  readonly trustDomain: string;
  /** Whether certificates state the uid of the driver's pod, as those of the node CA do. */
  readonly statesPodUid: boolean;
  readonly clock: Clock;
  readonly engine?: SignatureEngine | undefined;
}

/** The node or replica that the certificate identifies, or why it is not accepted now. */
export type NodeVerdict =
  | {
    readonly kind: "accepted";
    readonly identity: ClientIdentity;
    readonly expiresAt: Temporal.Instant;
  }
  | { readonly kind: "rejected"; readonly reason: string };

/** What does not change for a certificate: its content, and the client CA that has signed it. */
interface Verified {
  readonly certificate: Certificate;
  readonly identity: ClientIdentity;
  readonly ca: Certificate;
  readonly expiresAt: Temporal.Instant;
}

/** More than there are nodes, with their renewals. */
const maxRemembered = 20_000;

/**
 * Decides whether a client certificate is a node's or a replica's that may connect and call now: signed by a client
 * CA in use, within its dates, of the form of a node's certificate, not revoked, and not itself an
 * anchor. TLS alone does not suffice: a resumed session is not verified again, and a certificate
 * without extendedKeyUsage is accepted. A signature is verified once; all else each time.
 */
export class NodeCertificateVerifier implements PeerVerifier {
  readonly #options: NodeCertificateVerifierOptions;
  /** By the certificate's SHA-256, the oldest first. */
  readonly #remembered = new Map<string, Verified>();

  constructor(options: NodeCertificateVerifierOptions) {
    this.#options = options;
  }

  async verify(leaf: Uint8Array): Promise<PeerDecision> {
    const verdict = await this.identify(leaf);
    if (verdict.kind === "rejected") return verdict;
    const { identity, expiresAt } = verdict;
    const owner = identity.kind === "node" ? identity.node : `replica ${identity.replica}`;
    return { kind: "accepted", owner, expiresAt };
  }

  /** Identifies the node or the replica, for each call. */
  async identify(leaf: Uint8Array): Promise<NodeVerdict> {
    const verified = await this.#verified(leaf);
    if (typeof verified === "string") return rejected(verified);
    const { certificate: { notBefore }, identity, expiresAt } = verified;
    const now = this.#options.clock.now();
    if (Temporal.Instant.compare(expiresAt, now) <= 0) {
      return rejected(`the client certificate expired at ${expiresAt}, and it is ${now}`);
    }
    if (Temporal.Instant.compare(now, notBefore) < 0) {
      return rejected(`the client certificate is not valid before ${notBefore}, and it is ${now}`);
    }
    const node = identity.kind === "node" ? identity.node : undefined;
    if (node !== undefined && this.#options.denials?.isDenied(node, notBefore)) {
      return rejected(`the certificates of node ${node} made until now are revoked`);
    }
    return { kind: "accepted", identity, expiresAt };
  }

  onChange(listener: () => void): Disposable {
    const subscriptions = new DisposableStack();
    subscriptions.use(this.#options.clientCas.onChange(listener));
    const { denials } = this.#options;
    if (denials !== undefined) subscriptions.use(denials.onChange(listener));
    return subscriptions;
  }

  /** The certificate, when a client CA in use has signed it, or why it is rejected. */
  async #verified(leaf: Uint8Array): Promise<Verified | string> {
    const fingerprint = createHash("sha256").update(leaf).digest("hex");
    const known = this.#remembered.get(fingerprint);
    if (known !== undefined && this.#isInUse(known.ca)) return known;
    this.#remembered.delete(fingerprint);
    const verified = await this.#verifyLeaf(new Uint8Array(leaf));
    if (typeof verified !== "string") this.#remember(fingerprint, verified);
    return verified;
  }

  async #verifyLeaf(leaf: Uint8Array): Promise<Verified | string> {
    const { trustDomain, statesPodUid, clock, engine } = this.#options;
    const certificate = readCertificate(leaf);
    if (certificate === undefined) return "the client certificate cannot be read";
    const { certificates } = this.#options.clientCas;
    if (certificates.some(({ der }) => equalBytes(der, leaf))) {
      return "the client certificate is itself a client CA's";
    }
    const identity = readClientIdentity(certificate, { trustDomain, statesPodUid });
    if (identity.kind === "rejected") return identity.reason;
    let problem = "no client CA is in use";
    for (const ca of certificates) {
      if (clientCaRejectionReason(ca) !== undefined) continue;
      const verdict = await verifyChain([certificate], [ca], clock.now(), undefined, engine);
      if (verdict.kind === "refused") {
        problem = verdict.problem;
        continue;
      }
      // It was in use when the verification began.
      if (!this.#isInUse(ca)) return "the client certificate's CA is no longer in use";
      const expiresAt = earlier(certificate.notAfter, ca.notAfter);
      return { certificate, identity, ca, expiresAt };
    }
    return `the client certificate is not accepted: ${problem}`;
  }

  #isInUse(ca: Certificate): boolean {
    const { certificates } = this.#options.clientCas;
    return certificates.includes(ca) || certificates.some(({ der }) => equalBytes(der, ca.der));
  }

  #remember(fingerprint: string, verified: Verified): void {
    this.#remembered.set(fingerprint, verified);
    if (this.#remembered.size <= maxRemembered) return;
    const [oldest] = this.#remembered.keys();
    if (oldest !== undefined) this.#remembered.delete(oldest);
  }
}

function rejected(reason: string): NodeVerdict {
  return { kind: "rejected", reason };
}
