import { decodePem } from "../../shared/crypto/pem.ts";
import type { RequestHead } from "../../shared/http/request_reader.ts";

/** A driver's request for a node certificate, not verified. */
export interface AttestationRequest {
  readonly token: string;
  /** PKCS #10, DER. */
  readonly certificateRequest: Uint8Array;
}

export type AttestationRequestResult =
  | { readonly kind: "request"; readonly request: AttestationRequest }
  | { readonly kind: "malformed"; readonly reason: string };

const path = "/v1/node-certificate";

/** Why a request's head is not that of a request for a node certificate; undefined when it is. */
export function headRejectionReason({ method, target, fields }: RequestHead): string | undefined {
  if (method !== "POST" || target !== path) return `expected POST ${path}`;
  const type = fields.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  return type === "application/json" ? undefined : "expected Content-Type: application/json";
}

/** Reads the JSON body; a reason never quotes it. */
export function parseAttestationRequest(body: Uint8Array): AttestationRequestResult {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return malformed("the body is not JSON");
  }
  if (typeof value !== "object" || value === null) return malformed("the body is not an object");
  const { token, certificateSigningRequest: pem } = value as Record<string, unknown>;
  if (typeof token !== "string" || token === "") return malformed("the body has no string token");
  if (typeof pem !== "string") {
    return malformed("the body has no string certificateSigningRequest");
  }
  const [certificateRequest, ...more] = decodePem("CERTIFICATE REQUEST", pem);
  if (certificateRequest === undefined || certificateRequest.length === 0 || more.length > 0) {
    return malformed("certificateSigningRequest is not one PEM block CERTIFICATE REQUEST");
  }
  return { kind: "request", request: { token, certificateRequest } };
}

function malformed(reason: string): AttestationRequestResult {
  return { kind: "malformed", reason };
}
