import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { guardPeerCertificates } from "../../shared/grpc_client/peer_certificate_guard.ts";
import { onAbort } from "../../shared/scheduler/abort_signals.ts";

/** How the API server is verified, and the certificate that it is shown. */
export interface ConnectionOptions {
  /** PEM; not empty. No other CA is trusted, the public ones neither. */
  readonly trustAnchors: string;
  readonly identity:
    | { readonly certificatePem: string; readonly privateKeyPem: string }
    | undefined;
}

/** One request. */
export interface ApiRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

/** An API server closes idle connections after 90 s, and a call at that moment would fail. */
const idleMs = 30_000;

/**
 * Connections to the API server, which are used again. They speak HTTP/1.1, so that a call that is aborted closes its
 * connection and a dead one is not used again.
 *
 * Neither fetch nor Deno.createHttpClient: both trust public roots beside the given CAs. No redirect is followed, and
 * no proxy is used, because either would carry the token to another server.
 */
export class ApiConnections implements Disposable {
  readonly #agent: Agent;

  constructor({ trustAnchors, identity }: ConnectionOptions) {
    guardPeerCertificates();
    this.#agent = new Agent({
      keepAlive: true,
      timeout: idleMs,
      ca: trustAnchors,
      ...(identity ? { cert: identity.certificatePem, key: identity.privateKeyPem } : {}),
      // Stated, because the environment can turn the default off.
      rejectUnauthorized: true,
      ALPNProtocols: ["http/1.1"],
    });
  }

  /**
   * Resolves with the head of the answer; the caller reads the body or destroys it. The runtime repeats a request once
   * when the server closes an idle connection while the request is sent on it.
   */
  async send(
    url: string,
    { method, headers, body }: ApiRequest,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = request(url, { agent: this.#agent, method, headers }, resolve);
    sent.on("error", reject);
    using _aborting = onAbort(signal, () => {
      // Deno 2.9.6 also repeats a request that its own caller has destroyed, if its connection was used before.
      sent.reusedSocket = false;
      sent.destroy(signal.reason);
    });
    sent.end(body);
    return await promise;
  }

  /** Closes the idle connections, and each other one when its call has ended. */
  [Symbol.dispose](): void {
    this.#agent.maxFreeSockets = 0;
    for (const sockets of Object.values(this.#agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
  }
}
