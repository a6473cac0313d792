import type { AuthenticationResult, Authenticator, Credentials } from "./authenticator.ts";
import type { NodeCertificateVerifier } from "./node_certificate_verifier.ts";

/**
 * Identifies nodes and replicas by their client certificates on each call, with the checks that the connection has
 * passed already: a connection can outlive its certificate, its CA, or a node's revocation.
 */
export class ClientCertificateAuthenticator implements Authenticator {
  readonly #verifier: Pick<NodeCertificateVerifier, "identify">;

  constructor(verifier: Pick<NodeCertificateVerifier, "identify">) {
    this.#verifier = verifier;
  }

  async authenticate({ peerCertificate }: Credentials): Promise<AuthenticationResult> {
    if (peerCertificate === undefined) {
      return unauthenticated("the caller presented no client certificate");
    }
    const verdict = await this.#verifier.identify(peerCertificate);
    if (verdict.kind === "rejected") return unauthenticated(verdict.reason);
    return { kind: "caller", caller: verdict.identity };
  }
}

function unauthenticated(reason: string): AuthenticationResult {
  return { kind: "unauthenticated", reason };
}
