import { connect as connectTcp, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { AttestationLimits } from "../../../src/service/attestation/attestation_limits.ts";
import {
  AttestationEndpoint,
  type AttestationEndpointOptions,
} from "../../../src/service/attestation/attestation_endpoint.ts";
import type { AttestationOutcome } from "../../../src/service/attestation/attestation_outcome.ts";
import type { Clock } from "../../../src/shared/scheduler/clock.ts";
import { systemClock } from "../../../src/shared/scheduler/system_clock.ts";

export const serverName = "cert-service.csi-cert-driver.internal";

export interface EndpointOptions {
  readonly clock?: Clock;
  readonly attest?: AttestationEndpointOptions["attest"];
  readonly listen?: AttestationEndpointOptions["listen"];
  readonly caps?: AttestationEndpointOptions["caps"];
  readonly atOnce?: { readonly total: number; readonly perAddress: number };
  readonly connections?: { readonly perSecond: number; readonly burst: number };
  readonly requests?: { readonly perSecond: number; readonly burst: number };
}

/** An answer of the endpoint. */
export interface Answer {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: Record<string, string>;
  readonly text: string;
}

const unlimited = { perSecond: 10_000, burst: 10_000 };
const denied: AttestationOutcome = { kind: "denied", reason: "nothing is issued here" };

/** The endpoint on a socket of this machine, with a serving certificate that can rotate. */
export async function openEndpoint(options: EndpointOptions = {}) {
  const ca = await TestCa.create("Serving CA");
  const listeners = new Set<() => void>();
  let pair = await ca.issue(serverName);
  const clock = options.clock ?? systemClock;
  const limits = new AttestationLimits(clock, {
    connections: options.connections ?? unlimited,
    requests: options.requests ?? unlimited,
    atOnce: options.atOnce ?? { total: 1_000, perAddress: 1_000 },
  });
  const endpoint = new AttestationEndpoint({
    address: { hostname: "127.0.0.1", port: 0 },
    identity: {
      current: () => pair,
      onChange: (listener) => {
        listeners.add(listener);
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
    },
    limits,
    caps: options.caps,
    attest: options.attest ?? (() => Promise.resolve(denied)),
    clock,
    ...(options.listen ? { listen: options.listen } : {}),
  });
  const tls = () =>
    connect({
      host: "127.0.0.1",
      port: endpoint.port,
      servername: serverName,
      ca: ca.certificatePem,
      ALPNProtocols: ["http/1.1"],
    });
  return {
    endpoint,
    ca,
    tls,
    listeners,
    open: () => endpoint.connections,
    tcp: (localAddress = "127.0.0.1") =>
      connectTcp({ host: "127.0.0.1", port: endpoint.port, localAddress }),
    rotate: async () => {
      pair = await ca.issue(serverName);
      for (const listener of listeners) listener();
    },
    /** Sends bytes on a connection of their own and reads to its end; undefined: no answer. */
    send: async (...parts: (string | Uint8Array)[]) => {
      const socket = tls();
      const answer = readAnswer(socket);
      await secured(socket);
      for (const part of parts) socket.write(part);
      return await answer;
    },
    [Symbol.asyncDispose]: () => endpoint[Symbol.asyncDispose](),
  };
}

export function requestOf(body: string, fields: string[] = []): string {
  const length = new TextEncoder().encode(body).length;
  const head = [
    "POST /v1/node-certificate HTTP/1.1",
    `Host: ${serverName}`,
    "Content-Type: application/json",
    `Content-Length: ${length}`,
    ...fields,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}

export function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed before the handshake was done")));
  });
}

/** Everything that comes until the end; a reset ends it too. */
export function readToEnd(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk) => text += chunk);
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
    socket.on("end", () => socket.end());
  });
}

export async function readAnswer(socket: Socket): Promise<Answer | undefined> {
  const text = await readToEnd(socket);
  const [head = "", body] = text.split("\r\n\r\n");
  const [line = "", ...rest] = head.split("\r\n");
  const [, status] = /^HTTP\/1\.1 ([0-9]{3}) /.exec(line) ?? [];
  if (status === undefined || body === undefined) return undefined;
  const fields = new Map(
    rest.map((field) => field.split(": ") as [string, string])
      .map(([name, value]) => [name.toLowerCase(), value]),
  );
  return { status: Number(status), fields, body: JSON.parse(body), text };
}
