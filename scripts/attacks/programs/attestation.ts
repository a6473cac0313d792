/** A client of the attestation endpoint: one HTTP/1.1 request over TLS, written by hand. */
import { exportPrivateKey, generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { createCertificateRequest } from "../../../src/shared/x509/certificate_request.ts";
import { type ClientIdentity, openSocket, type TlsClientOptions } from "../http2/socket.ts";

export interface AttestationAnswer {
  /** 0: the connection ended without an answer. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

const longestAnswerMs = 10_000;

/** The bytes of a request with this body. */
export function attestationRequest(body: string, more: readonly string[] = []): string {
  return [
    "POST /v1/node-certificate HTTP/1.1",
    "Host: cert-service",
    "Content-Type: application/json",
    `Content-Length: ${new TextEncoder().encode(body).length}`,
    ...more,
    "",
    body,
  ].join("\r\n");
}

export function attestationBody(token: string, certificateSigningRequest: string): string {
  return JSON.stringify({ token, certificateSigningRequest });
}

/** Writes a request and reads to the end of the connection. Never rejects. */
export async function exchange(
  options: { address: string; tls: TlsClientOptions; from?: string | undefined },
  request: string,
): Promise<AttestationAnswer> {
  try {
    const tls = { ...options.tls, protocols: ["http/1.1"] };
    const { raw, stream } = await openSocket({ ...options, tls });
    const chunks: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, longestAnswerMs);
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => chunks.push(text));
    for (const event of ["end", "close", "error"]) stream.on(event, () => resolve());
    stream.write(request);
    await promise;
    clearTimeout(timer);
    stream.destroy();
    raw.destroy();
    return parseAnswer(chunks.join(""));
  } catch {
    return { status: 0, head: "", body: "" };
  }
}

export function parseAnswer(text: string): AttestationAnswer {
  const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? [];
  const at = text.indexOf("\r\n\r\n");
  if (status === undefined || at < 0) return { status: 0, head: "", body: "" };
  return { status: Number(status), head: text.slice(0, at), body: text.slice(at + 4) };
}

export async function exampleCsr(): Promise<{ pem: string; privateKeyPem: string }> {
  const keys = await generateKeyPair("ecdsa-p256");
  return {
    pem: encodePem("CERTIFICATE REQUEST", await createCertificateRequest(keys)),
    privateKeyPem: await exportPrivateKey(keys.privateKey),
  };
}

/** The node certificate that an honest driver receives for its token. */
export async function attestedIdentity(
  address: string,
  tls: TlsClientOptions,
  token: string,
): Promise<ClientIdentity> {
  const { pem, privateKeyPem } = await exampleCsr();
  const answer = await exchange({ address, tls }, attestationRequest(attestationBody(token, pem)));
  if (answer.status !== 200) {
    throw new Error(`the attestation endpoint answered ${answer.status}: ${answer.body}`);
  }
  return { certificatePem: JSON.parse(answer.body).certificateChain, privateKeyPem };
}
