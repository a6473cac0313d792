import { type Issuer, loadIssuer } from "../../src/service/x509/issuer.ts";
import { randomSerialNumber, signLeaf } from "../../src/service/x509/leaf_certificate.ts";
import { parseCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import type { Clock } from "../../src/shared/scheduler/clock.ts";
import { createSelfSignedCa } from "../../src/service/x509/self_signed_ca.ts";
import type {
  IssuanceClient,
  IssueOutcome,
  IssueRequest,
} from "../../src/driver/certificates/issuance_client.ts";
import { parseAttributes } from "../../src/shared/attributes/attribute_parser.ts";

/** Signs in this process; a test can replace its answers by failures. */
export class TestIssuer implements IssuanceClient {
  readonly requests: IssueRequest[] = [];
  /** Answers in place of a certificate, when given. */
  answer: ((request: IssueRequest, signal: AbortSignal) => Promise<IssueOutcome>) | undefined;
  /** Further anchors of the trust bundle, DER. */
  furtherAnchors: readonly Uint8Array[] = [];
  readonly #clock: Clock;
  readonly #issuer: Issuer;

  private constructor(clock: Clock, issuer: Issuer) {
    this.#clock = clock;
    this.#issuer = issuer;
  }

  static async create(clock: Clock): Promise<TestIssuer> {
    const now = clock.now();
    const root = await createSelfSignedCa({
      algorithm: "ecdsa-p256",
      commonName: "Test CA",
      notBefore: now.subtract({ hours: 24 * 365 }),
      notAfter: now.add({ hours: 24 * 365 * 30 }),
    });
    const loaded = await loadIssuer(root.certificatePem, root.privateKeyPem, now);
    if (loaded.kind === "refused") throw new Error(loaded.problem);
    return new TestIssuer(clock, loaded.issuer);
  }

  get trustBundle(): Uint8Array[] {
    return [this.#issuer.certificate.der, ...this.furtherAnchors];
  }

  issue(request: IssueRequest, signal: AbortSignal): Promise<IssueOutcome> {
    this.requests.push(request);
    return this.answer ? this.answer(request, signal) : this.sign(request);
  }

  async sign(request: IssueRequest): Promise<IssueOutcome> {
    const csr = await parseCertificateRequest(request.certificateRequest);
    const parsed = parseAttributes({ ...request.attributes });
    if (csr.kind === "refused") return { kind: "invalid", reason: csr.problem };
    const now = this.#clock.now();
    const name = `${request.pod.name}.${request.pod.namespace}.svc.cluster.local`;
    const leaf = await signLeaf(this.#issuer, {
      publicKey: csr,
      serialNumber: randomSerialNumber(),
      commonName: name,
      organizationalUnits: parsed.understood.organizationalUnits,
      dnsNames: [name],
      ipAddresses: parsed.understood.ipAddresses,
      uris: [],
      notBefore: now.subtract({ minutes: 5 }),
      notAfter: now.add(parsed.understood.duration ?? { hours: 168 }).round({
        smallestUnit: "second",
        roundingMode: "floor",
      }),
      extendedKeyUsage: ["serverAuth", "clientAuth"],
    });
    return { kind: "issued", chain: [leaf], trustBundle: this.trustBundle };
  }
}
