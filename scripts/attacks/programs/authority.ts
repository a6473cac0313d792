/**
 * Certificates that attackers and honest nodes show: a node CA of the suite's own and everything that
 * it signs, sound or not. Made by another library than the service reads them with.
 */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { ClientIdentity } from "../http2/socket.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const hourMs = 3_600_000;

export interface IdentityOptions {
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  /** Hours from now. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** [clientAuth] unless given; empty: no such extension. */
  readonly usages?: readonly string[];
  readonly isCa?: boolean;
}

export const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;

export class SuiteCa {
  readonly #keys: CryptoKeyPair;
  readonly #certificate: x509.X509Certificate;

  private constructor(keys: CryptoKeyPair, certificate: x509.X509Certificate) {
    this.#keys = keys;
    this.#certificate = certificate;
  }

  static async create(name: string): Promise<SuiteCa> {
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - hourMs),
      notAfter: new Date(Date.now() + 24 * hourMs),
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new SuiteCa(keys, certificate);
  }

  get certificatePem(): string {
    return `${this.#certificate.toString("pem")}\n`;
  }

  /** The CA's own certificate with its key: an anchor that shows itself. */
  async identity(): Promise<ClientIdentity> {
    const { certificatePem } = this;
    return { certificatePem, privateKeyPem: await exportKey(this.#keys.privateKey) };
  }

  async issue(options: IdentityOptions): Promise<ClientIdentity> {
    const { uris = [], dnsNames = [], usages = [clientAuth], isCa = false } = options;
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const names = [
      ...uris.map((value) => ({ type: "url" as const, value })),
      ...dnsNames.map((value) => ({ type: "dns" as const, value })),
    ];
    const certificate = await x509.X509CertificateGenerator.create({
      subject: "CN=attack",
      issuer: this.#certificate.subject,
      notBefore: new Date(Date.now() + (options.notBefore ?? -1) * hourMs),
      notAfter: new Date(Date.now() + (options.notAfter ?? 2) * hourMs),
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        ...isCa ? [new x509.BasicConstraintsExtension(true, undefined, true)] : [],
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        ...usages.length > 0 ? [new x509.ExtendedKeyUsageExtension([...usages])] : [],
        ...names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
      ],
    });
    const certificatePem = `${certificate.toString("pem")}\n`;
    return { certificatePem, privateKeyPem: await exportKey(keys.privateKey) };
  }

  /** As the service's own node certificates are: one URI, clientAuth. */
  async issueNode(name: string, options: IdentityOptions = {}): Promise<ClientIdentity> {
    return await this.issue({ uris: [nodeUri(name)], ...options });
  }

  /** A node's certificate followed by so many others, up to a chain of about the given size in DER. */
  async issueLongChain(name: string, kibibytes: number): Promise<ClientIdentity> {
    const leaf = await this.issueNode(name);
    const filler = await this.issue({ dnsNames: longNames(8 * 1024), isCa: true });
    const pieces = Math.floor(kibibytes / 8);
    const certificatePem = leaf.certificatePem + filler.certificatePem.repeat(pieces);
    return { ...leaf, certificatePem };
  }
}

export function nodeUri(name: string): string {
  return `spiffe://cluster.local/csi-cert-node/${name}`;
}

function longNames(bytes: number): string[] {
  const label = `${"a".repeat(60)}.`.repeat(3);
  return Array.from({ length: Math.floor(bytes / 200) }, (_, n) => `n${n}.${label}example`);
}

async function exportKey(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}
