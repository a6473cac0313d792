import { getLogger } from "@logtape/logtape";
import { ServerCredentials } from "@grpc/grpc-js";
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { SecureContextOptions } from "node:tls";

const logger = getLogger(["grpc", "tls"]);

/** What a TLS server shows, and whom it believes. */
export interface TlsIdentity {
  /** The leaf first, then intermediates. */
  certificatePem: string;
  /** PKCS#8. */
  privateKeyPem: string;
  /** When given, a client must show a certificate that verifies to one of these. */
  clientAuthoritiesPem?: string | undefined;
}

/** An identity that may change while it is in use. */
export interface TlsIdentitySource {
  current(): TlsIdentity;
  onChange(listener: () => void): Disposable;
}

/** Server credentials that follow an identity: new connections see the new one, open ones go on. Throws when the first is unusable. */
export class ReloadingCredentials extends ServerCredentials implements Disposable {
  readonly #subscription: Disposable;

  constructor(source: TlsIdentitySource) {
    const first = contextOf(source.current());
    // Fixed for the life of the server: whether clients show a certificate cannot change.
    const asksClients = first.ca !== undefined;
    super(
      { minVersion: "TLSv1.2", requestCert: asksClients, rejectUnauthorized: asksClients },
      first,
    );
    this.#subscription = source.onChange(() => this.#follow(source));
  }

  #follow(source: TlsIdentitySource): void {
    try {
      this.updateSecureContextOptions(contextOf(source.current()));
    } catch (error) {
      logger.error("the new serving certificate cannot be used, the old one stays: {reason}", {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}

/** Deno takes any text here and refuses every connection afterwards, so we look ourselves. Throws when unusable. */
function contextOf(identity: TlsIdentity): SecureContextOptions {
  const { certificatePem, privateKeyPem, clientAuthoritiesPem } = identity;
  const key = createPrivateKey(privateKeyPem);
  if (!new X509Certificate(certificatePem).checkPrivateKey(key)) {
    throw new Error("the private key is not the certificate's");
  }
  if (clientAuthoritiesPem === undefined) return { cert: certificatePem, key: privateKeyPem };
  if (!clientAuthoritiesPem.includes("-----BEGIN CERTIFICATE-----")) {
    // An empty list would come to mean the system's CAs.
    throw new Error("the CAs for client certificates hold no PEM certificate");
  }
  return { cert: certificatePem, key: privateKeyPem, ca: clientAuthoritiesPem };
}
