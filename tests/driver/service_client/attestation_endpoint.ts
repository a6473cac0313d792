import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import {
  attest,
  type AttestationOutcome,
} from "../../../src/driver/service_client/attestation_client.ts";
import { importPublicKey } from "../../../src/shared/crypto/key_pairs.ts";
import { decodePem } from "../../../src/shared/crypto/pem.ts";
import { parseCertificateRequest } from "../../../src/shared/x509/certificate_request.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import type { TestCa, TestPair } from "../../../scripts/support/test_ca.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

export const serverName = "cert-service.csi-cert-driver.internal";
export const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJkcml2ZXIifQ.c2lnbmF0dXJl";
const hourMs = 3_600_000;
const backdateMs = 5 * 60_000;

export interface RawEndpoint extends AsyncDisposable {
  readonly port: number;
  /** What each connection has sent after its handshake. */
  readonly received: string[];
  readonly open: ReadonlySet<TLSSocket>;
  /** Connections that were accepted, whether or not their handshake succeeded. */
  accepted: number;
}

/** A TLS 1.3 server that calls back with each chunk it receives, or right after the handshake with an empty text. */
export async function serveRaw(
  { certificatePem, privateKeyPem }: TestPair,
  onText: (socket: TLSSocket, text: string) => void,
  options: { atOnce?: boolean; ALPNProtocols?: string[]; maxVersion?: "TLSv1.2" } = {},
): Promise<RawEndpoint> {
  const { atOnce = false, ...tls } = options;
  const received: string[] = [];
  const open = new Set<TLSSocket>();
  const server = createServer(
    { ALPNProtocols: ["http/1.1"], ...tls, cert: certificatePem, key: privateKeyPem },
    (socket) => {
      const index = received.push("") - 1;
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => void open.delete(socket));
      socket.on("data", (chunk) => {
        received[index] += chunk.toString();
        onText(socket, received[index]!);
      });
      if (atOnce) onText(socket, "");
    },
  );
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = {
    port: (server.address() as AddressInfo).port,
    received,
    open,
    accepted: 0,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
  server.on("connection", () => endpoint.accepted++);
  return endpoint;
}

/** A response as the real endpoint writes it. */
export function response(status: number, body: unknown, headers: readonly string[] = []): string {
  const text = JSON.stringify(body);
  const lines = [
    `HTTP/1.1 ${status} Whatever`,
    "Content-Type: application/json",
    `Content-Length: ${text.length}`,
    "Connection: close",
    ...headers,
  ];
  return `${lines.join("\r\n")}\r\n\r\n${text}`;
}

/** The fields of a request whose body is complete, or undefined. */
export function requestOf(text: string): Record<string, string> | undefined {
  const [head = "", body = ""] = text.split("\r\n\r\n");
  const length = Number(/^Content-Length: ([0-9]+)$/m.exec(head)?.[1]);
  return body.length === length ? JSON.parse(body) : undefined;
}

/** A node certificate for the request's key, as the service issues it, with the life that is left to it. */
export async function nodeCertificate(
  ca: TestCa,
  request: Record<string, string>,
  lifetimeMs = hourMs,
): Promise<{ certificateChain: string; notAfter: string }> {
  const [der = new Uint8Array()] = decodePem(
    "CERTIFICATE REQUEST",
    request.certificateSigningRequest ?? "",
  );
  const parsed = await parseCertificateRequest(der);
  if (parsed.kind !== "request") throw new Error(parsed.problem);
  const key = await importPublicKey(parsed.spki);
  if (key.kind !== "key") throw new Error(key.problem);
  const now = Date.now();
  const dates = { notBefore: new Date(now - backdateMs), notAfter: new Date(now + lifetimeMs) };
  const names = ["spiffe://cluster.local/csi-cert-node/node-1"];
  const certificateChain = await ca.certify(key.publicKey, names, dates);
  return { certificateChain, notAfter: dates.notAfter.toISOString() };
}

/** An endpoint that attests every client with the token. */
export async function serveAttestation(ca: TestCa): Promise<RawEndpoint> {
  return await serveRaw(await ca.issue(serverName), async (socket, text) => {
    const request = requestOf(text);
    if (request === undefined) return;
    const isKnown = request.token === token;
    socket.end(
      isKnown
        ? response(200, await nodeCertificate(ca, request))
        : response(401, { error: "the token is not accepted" }),
    );
  });
}

/** A trust bundle and a token in files, as a driver's pod has them. */
export async function driverFiles(ca: TestCa) {
  const folder = await temporaryFolder();
  const [caFile, tokenFile] = [`${folder.path}/ca.crt`, `${folder.path}/token`];
  await Deno.writeTextFile(caFile, ca.certificatePem);
  await Deno.writeTextFile(tokenFile, token);
  return { caFile, tokenFile, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const never = new AbortController().signal;

export interface Attempt {
  readonly ca: TestCa;
  readonly port: number;
  readonly clock?: FakeClock;
  readonly signal?: AbortSignal;
  readonly files?: { readonly caFile?: string; readonly tokenFile?: string };
}

/** One attempt against a port; no outcome contains the token or a private key but an identity's own. */
export async function attempt(
  { ca, port, clock, signal, files }: Attempt,
): Promise<AttestationOutcome> {
  await using own = await driverFiles(ca);
  const { caFile, tokenFile } = own;
  const endpoint = { hostname: "127.0.0.1", port, serverName, caFile, tokenFile, ...files };
  const outcome = await attest(endpoint, clock ?? new FakeClock(), signal ?? never);
  const { privateKeyPem: _, ...rest } = outcome.kind === "identity"
    ? outcome
    : { ...outcome, privateKeyPem: "" };
  const text = JSON.stringify(rest);
  assert.ok(!text.includes(token), text);
  assert.ok(!text.includes("PRIVATE KEY"), text);
  return outcome;
}

export function reasonOf(outcome: AttestationOutcome): string {
  return outcome.kind === "identity" ? assert.fail("is an identity") : outcome.reason;
}
