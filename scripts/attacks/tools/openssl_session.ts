/** HTTP/2 through `openssl s_client`, which can store a TLS session and resume it. */
import {
  concat,
  FrameReader,
  frameType,
  headers,
  preface,
  setting,
  settings,
} from "../http2/frames.ts";
import { dataFrames } from "../http2/connection.ts";
import { grpcHeaders, grpcMessage, issueMessage, methodPaths } from "../http2/grpc_request.ts";
import { decodeHeaders, encodeHeaders } from "../http2/hpack.ts";
import type { AttackedService } from "../programs/service.ts";

export interface SessionAttempt {
  readonly service: AttackedService;
  readonly address: string;
  /** PEM files of the client's certificate and key; absent in a resumption. */
  readonly identity?: { readonly certificateFile: string; readonly keyFile: string };
  /** The file in which the session is stored, or from which it is read. */
  readonly save?: string;
  readonly resume?: string;
  /** "h2" unless given. */
  readonly protocol?: string;
}

const exchangeMs = 1_500;

export async function hasOpenssl(): Promise<boolean> {
  try {
    return (await new Deno.Command("openssl", { args: ["version"], stdout: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

/** One handshake and one issue call; whether the call was answered OK. */
export async function issueThroughOpenssl(attempt: SessionAttempt): Promise<boolean> {
  const { service, address, identity, save, resume, protocol = "h2" } = attempt;
  const ca = `${service.directory}/s_client-ca.crt`;
  await Deno.writeTextFile(ca, service.ca.certificatePem);
  const child = new Deno.Command("openssl", {
    args: [
      ...["s_client", "-quiet", "-connect", address, "-alpn", protocol, "-CAfile", ca],
      ...["-servername", service.tls().serverName],
      ...identity ? ["-cert", identity.certificateFile, "-key", identity.keyFile] : [],
      ...save ? ["-sess_out", save] : [],
      ...resume ? ["-sess_in", resume] : [],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGTERM"), exchangeMs);
  const writer = child.stdin.getWriter();
  try {
    await writer.write(callBytes(service)).catch(() => {});
    return await readsOk(child.stdout);
  } finally {
    clearTimeout(timer);
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await writer.close().catch(() => {});
    await child.status;
  }
}

function callBytes({ certificateRequest }: AttackedService): Uint8Array<ArrayBuffer> {
  const call = headers(1, encodeHeaders(grpcHeaders(methodPaths.issue)));
  const message = grpcMessage(issueMessage(certificateRequest));
  const bytes = concat(
    preface,
    settings([[setting.headerTableSize, 0]]),
    call,
    ...dataFrames(1, message),
  );
  return new Uint8Array(bytes);
}

async function readsOk(output: ReadableStream<Uint8Array>): Promise<boolean> {
  const reader = new FrameReader();
  let isOk = false;
  for await (const bytes of output) {
    for (const { type, payload } of reader.push(bytes)) {
      if (type !== frameType.headers) continue;
      if (decodeHeaders(payload)?.get("grpc-status") === "0") isOk = true;
    }
    if (isOk) break;
  }
  return isOk;
}
