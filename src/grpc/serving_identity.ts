import { getLogger } from "@logtape/logtape";
import { ServerCredentials } from "@grpc/grpc-js";
import { createSecureContext, type SecureContextOptions } from "node:tls";

const logger = getLogger(["grpc", "tls"]);

/** What a TLS server shows, and whom it believes. */
export interface Identity {
  /** The leaf first, then intermediates. */
  certificatePem: string;
  /** PKCS#8. */
  privateKeyPem: string;
  /** When given, a client must show a certificate that verifies to one of these. */
  clientAuthoritiesPem?: string | undefined;
}

/** An identity that may change while it is in use. */
export interface IdentitySource {
  current(): Identity;
  onChange(listener: () => void): Disposable;
}

/** Server credentials that follow an identity: new connections see the new one, open ones go on. Throws when the first is unusable. */
export class FollowingCredentials extends ServerCredentials implements Disposable {
  readonly #subscription: Disposable;

  constructor(source: IdentitySource) {
    const first = contextOf(source.current());
    createSecureContext(first);
    // Fixed for the life of the server: whether clients show a certificate cannot change.
    const asksClients = first.ca !== undefined;
    super(
      { minVersion: "TLSv1.2", requestCert: asksClients, rejectUnauthorized: asksClients },
      first,
    );
    this.#subscription = source.onChange(() => this.#follow(source));
  }

  #follow(source: IdentitySource): void {
    try {
      const next = contextOf(source.current());
      // grpc-js drops every connection after it was given a context that cannot be used.
      createSecureContext(next);
      this.updateSecureContextOptions(next);
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

function contextOf(identity: Identity): SecureContextOptions {
  return {
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    ...(identity.clientAuthoritiesPem !== undefined && { ca: identity.clientAuthoritiesPem }),
  };
}
