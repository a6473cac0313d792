import { exportPrivateKey, generateKeyPair } from "../../shared/crypto/key_pairs.ts";
import { exportPublicKey } from "../../shared/crypto/key_pairs.ts";
import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { encodePem } from "../../shared/crypto/pem.ts";
import { readTrustAnchors } from "../../shared/grpc_client/trust_anchors.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type Certificate, readCertificates } from "../../shared/x509/certificate.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { createCertificateRequest } from "../../shared/x509/certificate_request.ts";
import { describeFileError } from "../../shared/text/file_error.ts";
import type { HttpResponse } from "./http_response.ts";
import { exchangeOverTls } from "./tls_exchange.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { formatAddress } from "../../shared/text/network_address.ts";

/** The endpoint accepts 16 KiB, with the head and the certificate request. */
const maxTokenBytes = 12 * 1024;
/** RFC 9110, section 11.6.2: a bare token, without blanks and line breaks. */
const tokenPattern = /^[\x21-\x7e]+$/;
/** The longest part of the service's error text that an outcome contains. */
const maxReasonLength = 300;

/** Where the driver shows its service account token, and for what. */
export interface AttestationEndpoint {
  readonly hostname: string;
  readonly port: number;
  /** The name that the service's certificate must bear. */
  readonly serverName: string;
  /** The trust bundle, PEM. */
  readonly caFile: string;
  /** The projected service account token. */
  readonly tokenFile: string;
}

/** The outcome of an attestation; all but `identity` are worth another attempt. */
export type AttestationOutcome =
  | {
    readonly kind: "identity";
    readonly certificatePem: string;
    readonly privateKeyPem: string;
    /** How long the certificate lives from now on, whatever the node's clock says. */
    readonly lifetimeMs: number;
  }
  /** A file of ours is missing or cannot be used: nothing was sent. */
  | { readonly kind: "waiting"; readonly reason: string }
  /** The service does not accept the token or its bearer. */
  | { readonly kind: "refused"; readonly reason: string }
  | {
    readonly kind: "overloaded" | "unavailable";
    readonly reason: string;
    /** How long the service asked this node to wait. */
    readonly retryAfterMs?: number | undefined;
  };

/**
 * Makes a P-256 key, shows the token once to the verified endpoint, and returns the node certificate for that key.
 * Key and token exist in memory only, and no outcome contains either. Rejects when the signal is aborted.
 */
export async function attest(
  endpoint: AttestationEndpoint,
  clock: Pick<Clock, "after">,
  signal: AbortSignal,
): Promise<AttestationOutcome> {
  const prepared = await readFiles(endpoint);
  if ("kind" in prepared) return prepared;
  let sent: { readonly keys: CryptoKeyPair; readonly token: string } | undefined;
  const compose = async () => {
    const token = await readToken(endpoint.tokenFile);
    const keys = await generateKeyPair("ecdsa-p256");
    sent = { keys, token };
    return await composeRequest(endpoint.serverName, token, keys);
  };
  try {
    const outcome = await exchangeOverTls({ ...endpoint, ...prepared }, compose, clock, signal);
    if (outcome.kind === "failed") return unavailable(endpoint, outcome.reason);
    if (sent === undefined) return unavailable(endpoint, "it answered before the request was sent");
    return await readOutcome(endpoint, outcome.response, sent.keys, sent.token);
  } catch (error) {
    if (error instanceof TokenError) return { kind: "waiting", reason: error.message };
    throw error;
  }
}

/** The token cannot be used; the message does not contain it. */
class TokenError extends Error {}

async function readFiles(
  { caFile, tokenFile }: AttestationEndpoint,
): Promise<{ trustAnchors: string } | AttestationOutcome> {
  const bundle = `the trust bundle ${caFile} (CERT_SERVICE_CA_FILE)`;
  try {
    // The token itself is read only after the server was verified.
    await Deno.stat(tokenFile);
  } catch (error) {
    return { kind: "waiting", reason: describeFileError(tokenOf(tokenFile), error) };
  }
  let text: string;
  try {
    text = await Deno.readTextFile(caFile);
  } catch (error) {
    return { kind: "waiting", reason: describeFileError(bundle, error) };
  }
  try {
    return { trustAnchors: readTrustAnchors(text) };
  } catch (error) {
    return { kind: "waiting", reason: `${bundle} cannot be used: ${errorMessage(error)}` };
  }
}

function tokenOf(tokenFile: string): string {
  return `the token file ${tokenFile} (CERT_SERVICE_TOKEN_FILE)`;
}

async function readToken(tokenFile: string): Promise<string> {
  const text = await Deno.readTextFile(tokenFile).catch((error) => {
    throw new TokenError(describeFileError(tokenOf(tokenFile), error));
  });
  const token = text.trim();
  if (!tokenPattern.test(token) || token.length > maxTokenBytes) {
    throw new TokenError(
      `${tokenOf(tokenFile)} is empty, contains blanks or has more than ${maxTokenBytes} bytes: ` +
        "it must contain the token alone",
    );
  }
  return token;
}

async function composeRequest(
  serverName: string,
  token: string,
  keys: CryptoKeyPair,
): Promise<Uint8Array> {
  const request = encodePem("CERTIFICATE REQUEST", await createCertificateRequest(keys));
  const body = JSON.stringify({ token, certificateSigningRequest: request });
  // The token is ASCII, and so a character is a byte.
  const head = [
    "POST /v1/node-certificate HTTP/1.1",
    `Host: ${serverName}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    "Connection: close",
  ];
  return new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n${body}`);
}

async function readOutcome(
  endpoint: AttestationEndpoint,
  { status, headers, body }: HttpResponse,
  keys: CryptoKeyPair,
  token: string,
): Promise<AttestationOutcome> {
  const fields = readJson(body);
  if (status === 200) {
    const [leaf, ...rest] = readCertificates(text(fields.certificateChain)) ?? [];
    const spki = await exportPublicKey(keys.publicKey);
    if (leaf === undefined || !equalBytes(leaf.spki, spki)) {
      return unavailable(endpoint, "its answer contains no certificate for our key");
    }
    const lifetimeMs = lifetimeOf(leaf);
    if (lifetimeMs <= 0) {
      return unavailable(endpoint, "its certificate is valid for no longer than it is back-dated");
    }
    const certificatePem = [leaf, ...rest].map(({ der }) => encodePem("CERTIFICATE", der)).join("");
    const privateKeyPem = await exportPrivateKey(keys.privateKey);
    return { kind: "identity", certificatePem, privateKeyPem, lifetimeMs };
  }
  const reason = sentence(text(fields.error), token) || `status ${status} without a reason`;
  if (status === 401 || status === 403) {
    return {
      kind: "refused",
      reason: `the certificate service does not attest this node: ${reason}`,
    };
  }
  if (status === 429 || status === 503) {
    const retryAfterMs = retryAfter(headers.get("retry-after"));
    return {
      kind: status === 429 ? "overloaded" : "unavailable",
      reason: `the certificate service cannot attest this node now: ${reason}`,
      retryAfterMs,
    };
  }
  return unavailable(endpoint, `it answered with status ${status}: ${reason}`);
}

function lifetimeOf({ notBefore, notAfter }: Certificate): number {
  // The service back-dates notBefore.
  return notAfter.since(notBefore).subtract(maxClockSkew).total("milliseconds");
}

function readJson(body: Uint8Array): Record<string, unknown> {
  try {
    const value = JSON.parse(new TextDecoder().decode(body));
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The service's error text in printable characters, without the token. */
function sentence(reason: string, token: string): string {
  const safe = reason.replaceAll(token, "TOKEN").replace(/[^\x20-\x7e]/g, "?");
  return safe.length > maxReasonLength ? `${safe.slice(0, maxReasonLength)}...` : safe;
}

/** RFC 9110, section 10.2.3, in seconds; a date is not used by our service. */
function retryAfter(value: string | undefined): number | undefined {
  return value !== undefined && /^[0-9]{1,5}$/.test(value) ? Number(value) * 1_000 : undefined;
}

function unavailable(endpoint: AttestationEndpoint, reason: string): AttestationOutcome {
  const address = formatAddress(endpoint);
  return {
    kind: "unavailable",
    reason: `the attestation endpoint ${address} cannot be used: ${reason}`,
  };
}
