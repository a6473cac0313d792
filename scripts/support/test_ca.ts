import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const hourMs = 3_600_000;

export interface TestPair {
  certificatePem: string;
  privateKeyPem: string;
}

/** A CA made for one test, by other code than ours; what it signs is valid for an hour around now. */
export class TestCa {
  readonly #keys: CryptoKeyPair;
  readonly #certificate: x509.X509Certificate;

  private constructor(keys: CryptoKeyPair, certificate: x509.X509Certificate) {
    this.#keys = keys;
    this.#certificate = certificate;
  }

  static async create(name = "Test CA"): Promise<TestCa> {
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...validity(),
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    });
    return new TestCa(keys, certificate);
  }

  get certificatePem(): string {
    return this.#certificate.toString("pem");
  }

  /** A certificate for servers and clients, with these names: host names, addresses or URIs. */
  async issue(...names: string[]): Promise<TestPair> {
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
    return {
      certificatePem: await this.certify(keys.publicKey, names),
      privateKeyPem: x509.PemConverter.encode(pkcs8, "PRIVATE KEY"),
    };
  }

  /** A certificate for a public key whose private key another party holds, PEM. */
  async certify(
    publicKey: CryptoKey,
    names: readonly string[],
    dates: { notBefore: Date; notAfter: Date } = validity(),
  ): Promise<string> {
    const certificate = await x509.X509CertificateGenerator.create({
      ...dates,
      subject: "CN=test",
      issuer: this.#certificate.subject,
      publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension(names.map(generalName)),
      ],
    });
    return certificate.toString("pem");
  }
}

function generalName(value: string): x509.JsonGeneralName {
  if (value.includes("://")) return { type: "url", value };
  return { type: /^[\d.]+$|:/.test(value) ? "ip" : "dns", value };
}

function validity(): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - hourMs), notAfter: new Date(now + hourMs) };
}
