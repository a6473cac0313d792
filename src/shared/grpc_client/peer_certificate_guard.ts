import { TLSSocket } from "node:tls";

type GetPeerCertificate = (this: unknown, ...args: unknown[]) => unknown;
type Prototype = { getPeerCertificate: GetPeerCertificate };

const guarded = new WeakSet<Prototype>();

/**
 * Makes a peer's chain that cannot be parsed fail the connection and not the process.
 *
 * Deno 2.9 parses the certificates that a server sends after its leaf within a callback of the handshake, and an error
 * there is caught by no one. The name is verified after that, so any pod with a certificate of our CA could end a driver
 * that reaches it instead of the service. A peer without a certificate fails the verification of the name.
 */
export function guardPeerCertificates(): void {
  const prototype = TLSSocket.prototype as unknown as Prototype;
  if (guarded.has(prototype)) return;
  guarded.add(prototype);
  const read = prototype.getPeerCertificate;
  prototype.getPeerCertificate = function (...args) {
    try {
      return read.apply(this, args);
    } catch {
      return {};
    }
  };
}
