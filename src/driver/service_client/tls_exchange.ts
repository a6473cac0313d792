import { connect, type TLSSocket } from "node:tls";
import { guardPeerCertificates } from "../../shared/grpc_client/peer_certificate_guard.ts";
import { abortable } from "../../shared/scheduler/abort_signals.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type HttpResponse, HttpResponseReader, type ResponseProgress } from "./http_response.ts";

/** From the first packet to the last byte. */
const maxMs = 5_000;

/** Where to send a request, and how its server is verified. */
export interface TlsEndpoint {
  readonly hostname: string;
  readonly port: number;
  /** The name that the server's certificate must bear. */
  readonly serverName: string;
  /** PEM; not empty. The system's CAs are never used. */
  readonly trustAnchors: string;
}

export type ExchangeOutcome =
  | { readonly kind: "response"; readonly response: HttpResponse }
  | { readonly kind: "failed"; readonly reason: string };

/**
 * Sends one HTTP/1.1 request over a TLS 1.3 connection of its own and reads the response, within 5 s in all. `compose`
 * is called only after the server was verified, and what it returns is sent to that server alone. Rejects when the
 * signal is aborted or `compose` throws.
 *
 * Neither fetch nor Deno.connectTls: both verify the host in place of the name, and trust public roots too.
 */
export async function exchangeOverTls(
  { hostname, port, serverName, trustAnchors }: TlsEndpoint,
  compose: () => Promise<Uint8Array>,
  clock: Pick<Clock, "after">,
  signal: AbortSignal,
): Promise<ExchangeOutcome> {
  signal.throwIfAborted();
  guardPeerCertificates();
  const { promise, resolve, reject } = Promise.withResolvers<ExchangeOutcome>();
  const fail = (reason: string) => resolve({ kind: "failed", reason });
  using _deadline = clock.after(maxMs, () => fail(`there was no answer within ${maxMs / 1000} s`));
  const socket = connect({
    host: hostname,
    port,
    servername: serverName,
    ca: trustAnchors,
    // Stated, because the environment can turn the default off.
    rejectUnauthorized: true,
    minVersion: "TLSv1.3",
    ALPNProtocols: ["http/1.1"],
  });
  try {
    socket.on("error", (error) => fail(describeTlsError(error)));
    socket.on("secureConnect", () => void sendRequest(socket, compose).catch(reject));
    readResponse(socket, resolve);
    return await abortable(promise, signal);
  } finally {
    socket.destroy();
  }
}

/** The runtime's text with its cause. */
function describeTlsError(error: Error & { readonly code?: string }): string {
  const { code = "", message } = error;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "its certificate bears another name";
  const isUntrusted = /^(UNABLE_TO_|CERT_|SELF_SIGNED_|DEPTH_ZERO_)/.test(code);
  return isUntrusted ? `the trust bundle does not verify its certificate (${message})` : message;
}

async function sendRequest(socket: TLSSocket, compose: () => Promise<Uint8Array>): Promise<void> {
  if (!isVerified(socket)) {
    socket.destroy(new Error("the server does not speak HTTP/1.1, or is not verified"));
    return;
  }
  const request = await compose();
  if (!socket.destroyed) socket.write(request);
}

function isVerified({ authorized, alpnProtocol }: TLSSocket): boolean {
  return authorized === true && alpnProtocol === "http/1.1";
}

function readResponse(socket: TLSSocket, resolve: (outcome: ExchangeOutcome) => void): void {
  const reader = new HttpResponseReader();
  const settle = (progress: ResponseProgress) => {
    if (progress.kind === "incomplete") return;
    resolve(
      progress.kind === "response"
        ? { kind: "response", response: progress.response }
        : { kind: "failed", reason: progress.problem },
    );
    // Nothing that arrives later is kept.
    socket.removeAllListeners("data");
    socket.destroy();
  };
  socket.on("data", (chunk: Uint8Array) => settle(reader.push(chunk)));
  socket.on("end", () => settle(reader.end()));
  socket.on("close", () => settle(reader.end()));
}
