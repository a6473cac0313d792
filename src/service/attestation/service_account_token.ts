import { tokenAudience } from "../../shared/text/product_names.ts";

/** A service account's token has 1 to 2 KiB; a longer one is not parsed. */
const maxTokenLength = 8 * 1024;
/** The API server's clock decides: a token that expired less than this ago by our clock is reviewed. */
const skewSeconds = 60;

/** A token (RFC 7519) that claims to be for this service and of the driver's account. */
export interface ServiceAccountToken {
  readonly token: string;
  /** The id of the key that has signed it. */
  readonly keyId: string;
  /** The algorithm that it states: compared with that of the key, never used. */
  readonly algorithm: string;
  /** The bytes that are signed. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly expiresAt: Temporal.Instant;
  /** The token's own id, which is no secret. */
  readonly tokenId: string | undefined;
  /** The pod that it is bound to. */
  readonly pod: { readonly name: string; readonly uid: string };
  /** The pod's node, from Kubernetes 1.30 on. */
  readonly node: string | undefined;
}

export type TokenResult =
  | { readonly kind: "token"; readonly token: ServiceAccountToken }
  | { readonly kind: "unauthenticated" | "denied"; readonly reason: string };

/**
 * Parses a token without verifying its signature, and checks form, audience, expiry and subject first:
 * they cost less than the signature. `iss` is not checked, since clusters of providers differ in it.
 * Reasons do not quote the token.
 */
export function parseServiceAccountToken(
  token: string,
  /** "namespace/name" of the driver's service account. */
  account: string,
  now: Temporal.Instant,
): TokenResult {
  if (token.length > maxTokenLength) {
    return unauthenticated(`the token is longer than ${maxTokenLength} characters`);
  }
  const parts = token.split(".", 4);
  const [header, payload, signature] = parts.map(decode);
  const [head, claims] = [header, payload].map(parseObject);
  if (parts.length !== 3 || !head || !claims || !signature?.length) {
    return unauthenticated("the token is not a JSON Web Token");
  }
  const { kid, alg, crit } = head;
  if (typeof kid !== "string" || typeof alg !== "string" || crit !== undefined) {
    return unauthenticated("the token's header is not that of a service account's token");
  }
  const { aud, exp, sub, jti } = claims;
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(tokenAudience)) {
    return unauthenticated(`the token is for another audience, expected ${tokenAudience}`);
  }
  if (typeof exp !== "number" || !(exp > 0 && exp < 1e11)) {
    return unauthenticated("the token does not state when it expires (exp)");
  }
  const expiresAt = Temporal.Instant.fromEpochMilliseconds(Math.floor(exp) * 1000);
  if (Temporal.Instant.compare(expiresAt.add({ seconds: skewSeconds }), now) <= 0) {
    return unauthenticated(`the token expired at ${expiresAt}`);
  }
  const [namespace, name] = account.split("/");
  if (sub !== `system:serviceaccount:${namespace}:${name}`) {
    return denied(`the token is not of service account ${account}; see DRIVER_SERVICE_ACCOUNT`);
  }
  const bound = boundTo(claims["kubernetes.io"]);
  if (bound === undefined) return denied(unboundReason(account));
  const signed = encoder.encode(token.slice(0, token.lastIndexOf(".")));
  const tokenId = typeof jti === "string" ? jti : undefined;
  return {
    kind: "token",
    token: { token, keyId: kid, algorithm: alg, signed, signature, expiresAt, tokenId, ...bound },
  };
}

export function unboundReason(account: string): string {
  return `the token of service account ${account} is not bound to a pod: expected the one that ` +
    "Kubernetes projects into the driver's pod";
}

function boundTo(claim: unknown): Pick<ServiceAccountToken, "pod" | "node"> | undefined {
  if (!isRecord(claim) || !isRecord(claim.pod)) return undefined;
  const { name, uid } = claim.pod;
  if (typeof name !== "string" || typeof uid !== "string" || !name || !uid) return undefined;
  const node = isRecord(claim.node) ? claim.node.name : undefined;
  return { pod: { name, uid }, node: typeof node === "string" ? node : undefined };
}

function decode(part: string): Uint8Array | undefined {
  try {
    // RFC 7515, 2: without padding.
    return /[^\w-]/.test(part) ? undefined : Uint8Array.fromBase64(part, { alphabet: "base64url" });
  } catch {
    return undefined;
  }
}

function parseObject(bytes: Uint8Array | undefined): Record<string, unknown> | undefined {
  if (bytes === undefined) return undefined;
  try {
    const parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return isRecord(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const encoder = new TextEncoder();

function unauthenticated(reason: string): TokenResult {
  return { kind: "unauthenticated", reason };
}

function denied(reason: string): TokenResult {
  return { kind: "denied", reason };
}
