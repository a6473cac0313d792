/** What an attestation request may look like on the wire, and what it may not. */
import {
  type AttestationAnswer,
  attestationBody,
  attestationRequest,
  exampleCsr,
  exchange,
} from "../../programs/attestation.ts";
import { type Attack, attackerAddress, AttackFailure } from "../../harness/row.ts";

const mostBytes = 16 * 1024;

export function clusterOf({ service }: Attack) {
  if (service.cluster === undefined) throw new AttackFailure("there is no cluster");
  return service.cluster;
}

export async function ask(attack: Attack, body: string, n = 0): Promise<AttestationAnswer> {
  return await exchange(endpoint(attack, n), attestationRequest(body));
}

export function endpoint(attack: Attack, n = 0) {
  const address = attack.running.attestationAddress;
  if (address === undefined) throw new AttackFailure("the service has no attestation endpoint");
  return { address, tls: attack.service.tls(), from: attackerAddress(n) };
}

/** Requests at and over the limit, and heads that are no request. */
export async function oddRequests(attack: Attack): Promise<string> {
  const { pem } = await exampleCsr();
  const body = attestationBody(clusterOf(attack).token(9), pem);
  const head = attestationRequest("").split("Content-Length")[0]!;
  const atLimit = (bytes: number) => {
    const space = bytes - attestationRequest(body).length - "X: \r\n".length;
    return attestationRequest(body, [`X: ${"a".repeat(space)}`]);
  };
  const requests: readonly (readonly [string, string, readonly number[]])[] = [
    ["at the limit", atLimit(mostBytes - 16), [200, 429, 503]],
    ["over the limit", atLimit(mostBytes + 64), [400, 413, 431]],
    ["a body over the limit", attestationRequest("a".repeat(mostBytes)), [400, 413]],
    ["no length", `${head}\r\n${body}`, [400, 411]],
    ["two lengths", `${head}Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}12`, [400]],
    ["a negative length", `${head}Content-Length: -1\r\n\r\n`, [400]],
    ["chunks", `${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`, [400, 411]],
    ["both", `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`, [400, 411]],
    ["no JSON", attestationRequest("{"), [400]],
    ["other JSON", attestationRequest(`[[[["a"]]]]`), [400]],
    ["deep JSON", attestationRequest("[".repeat(8_000)), [400]],
    ["no request for a certificate", attestationRequest(attestationBody("a.b.c", "")), [400, 401]],
    ["another method", "GET /v1/node-certificate HTTP/1.1\r\nHost: a\r\n\r\n", [
      400,
      404,
      405,
      411,
    ]],
    ["another path", attestationRequest("{}").replace("node-cert", "pod-cert"), [400, 404]],
    ["garbage", "\0\r\n\r\n", [0, 400]],
  ];
  const wrong: string[] = [];
  for (const [name, request, statuses] of requests) {
    const { status } = await exchange(endpoint(attack), request);
    if (!statuses.includes(status)) wrong.push(`${name}: ${status}`);
  }
  if (wrong.length > 0) throw new AttackFailure(wrong.join("; "));
  return `${requests.length} requests`;
}
