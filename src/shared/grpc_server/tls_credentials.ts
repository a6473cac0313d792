import { getLogger } from "@logtape/logtape";
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { type SecureContextOptions, Server as TlsServer, type TLSSocket } from "node:tls";
import { errorMessage } from "../text/error_message.ts";

const logger = getLogger(["grpc", "tls"]);

/** The certificate that a TLS server presents, and the CAs that it accepts. */
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

/**
 * A TLS server that follows an identity: new connections are shown the new one, open ones remain. It
 * does not listen: it is given the connections that have passed the limits. The constructor throws
 * when the first identity is unusable.
 *
 * TLS does not verify a resumed session again. The keys of session tickets cannot be replaced: Deno
 * 2.9 has one for all servers of a process, and its setTicketKeys does nothing. So the user of this
 * class has to verify the certificate of each connection.
 */
export class ReloadingTlsServer implements Disposable {
  readonly server: TlsServer;
  /** Whether clients show a certificate; this cannot change. */
  readonly asksClients: boolean;
  readonly #subscription: Disposable;

  constructor(source: TlsIdentitySource, handshakeMs: number) {
    const first = source.current();
    this.asksClients = first.clientAuthoritiesPem !== undefined;
    this.server = new TlsServer({
      minVersion: "TLSv1.3",
      ALPNProtocols: ["h2"],
      requestCert: this.asksClients,
      rejectUnauthorized: this.asksClients,
      handshakeTimeout: handshakeMs,
      ...contextOf(first),
    });
    this.#subscription = source.onChange(() => this.#follow(source));
  }

  #follow(source: TlsIdentitySource): void {
    try {
      const identity = source.current();
      if (this.asksClients !== (identity.clientAuthoritiesPem !== undefined)) {
        throw new Error("whether clients show a certificate cannot change; restart the service");
      }
      this.server.setSecureContext({ minVersion: "TLSv1.3", ...contextOf(identity) });
    } catch (error) {
      logger.error(
        "the new serving certificate cannot be used, the previous one remains in use: {reason}",
        {
          reason: errorMessage(error),
        },
      );
    }
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}

/** The TCP connection under a TLS connection, which Node and Deno keep in a property of this name. */
export function rawOf(secure: TLSSocket): Socket {
  return (secure as unknown as { _parent: Socket })._parent;
}

/** Deno accepts any text here and refuses every later connection, so it is verified here. Throws when unusable. */
function contextOf(identity: TlsIdentity): SecureContextOptions {
  const { certificatePem, privateKeyPem, clientAuthoritiesPem } = identity;
  const key = createPrivateKey(privateKeyPem);
  if (!new X509Certificate(certificatePem).checkPrivateKey(key)) {
    throw new Error("the private key is not the certificate's");
  }
  if (clientAuthoritiesPem === undefined) return { cert: certificatePem, key: privateKeyPem };
  if (!clientAuthoritiesPem.includes("-----BEGIN CERTIFICATE-----")) {
    // An empty list would mean the system's CAs.
    throw new Error("the CAs for client certificates hold no PEM certificate");
  }
  return { cert: certificatePem, key: privateKeyPem, ca: clientAuthoritiesPem };
}
