import type { Clock } from "../../shared/scheduler/clock.ts";
import { readCertificate } from "../../shared/x509/certificate.ts";
import type { AuthenticationResult, Authenticator, Credentials } from "./authenticator.ts";

const nodeName = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const longestNodeName = 253;

/**
 * Tells nodes by their client certificates, whose chain the TLS server has verified: the node is the
 * one URI SAN, spiffe://CLUSTER_DOMAIN/csi-cert-node/NAME.
 */
export class ClientCertificateAuthenticator implements Authenticator {
  readonly #prefix: string;
  readonly #clock: Clock;

  constructor({ clusterDomain, clock }: { clusterDomain: string; clock: Clock }) {
    this.#prefix = `spiffe://${clusterDomain}/csi-cert-node/`;
    this.#clock = clock;
  }

  authenticate({ peerCertificate }: Credentials): Promise<AuthenticationResult> {
    return Promise.resolve(this.#authenticate(peerCertificate));
  }

  #authenticate(der: Uint8Array | undefined): AuthenticationResult {
    const certificate = der && readCertificate(der);
    if (certificate === undefined) return refused("no client certificate was shown");
    // A connection can outlive the certificate that it was made with.
    if (Temporal.Instant.compare(certificate.notAfter, this.#clock.now()) <= 0) {
      return refused(`the client certificate expired at ${certificate.notAfter}`);
    }
    const [uri = "", ...others] = certificate.uris;
    const node = uri.startsWith(this.#prefix) ? uri.slice(this.#prefix.length) : "";
    if (others.length > 0 || node.length > longestNodeName || !nodeName.test(node)) {
      return refused(
        `the client certificate names no node: expected ${this.#prefix}NAME as its one URI`,
      );
    }
    return { kind: "caller", caller: { kind: "node", node } };
  }
}

function refused(problem: string): AuthenticationResult {
  return { kind: "unauthenticated", problem };
}
