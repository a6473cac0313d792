import { tokenAudience } from "../../shared/text/product_names.ts";

/** A service account's token has 1 to 2 KiB; this much is looked at. */
const longestToken = 8 * 1024;
/** The API server's clock decides; a token that ours takes for over by less is shown to it. */
const skewSeconds = 60;

/** What a token says of itself, before anybody has verified it. */
export interface TokenClaims {
  /** "namespace/name" of the service account. */
  readonly account: string;
  /** Whether it is bound to a pod, by name and uid. */
  readonly boundToPod: boolean;
  readonly expiresAt: Temporal.Instant;
}

export type TokenClaimsResult =
  | { readonly kind: "claims"; readonly token: string; readonly claims: TokenClaims }
  | { readonly kind: "refused"; readonly problem: string };

const bearer = /^bearer +([\x21-\x7e]+)$/i;
const account = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/;

/**
 * Looks at a bearer token (RFC 9110, 11.6.2; RFC 7519) without verifying it, so that what cannot be
 * accepted costs the API server nothing. Problems quote nothing of it.
 */
export function parseTokenClaims(
  authorization: string | undefined,
  now: Temporal.Instant,
): TokenClaimsResult {
  if (authorization === undefined) {
    return refused("no token was sent, expected the metadata authorization: Bearer TOKEN");
  }
  const token = authorization.length > longestToken ? undefined : bearer.exec(authorization)?.[1];
  if (token === undefined) {
    return refused(`expected a bearer token of at most ${longestToken} characters`);
  }
  const payload = payloadOf(token);
  if (payload === undefined) return refused("the token is no JSON Web Token");
  const { aud, exp, sub } = payload;
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(tokenAudience)) {
    return refused(`the token is for another audience, expected ${tokenAudience}`);
  }
  if (typeof exp !== "number" || !(exp > 0 && exp < 1e11)) {
    return refused("the token says no time of its expiry");
  }
  const expiresAt = Temporal.Instant.fromEpochMilliseconds(Math.floor(exp) * 1000);
  if (Temporal.Instant.compare(expiresAt.add({ seconds: skewSeconds }), now) <= 0) {
    return refused(`the token expired at ${expiresAt}`);
  }
  const [, namespace, name] = typeof sub === "string" ? account.exec(sub) ?? [] : [];
  if (namespace === undefined) return refused("the token is not of a service account");
  const boundToPod = isBound(payload["kubernetes.io"]);
  return {
    kind: "claims",
    token,
    claims: { account: `${namespace}/${name}`, boundToPod, expiresAt },
  };
}

function payloadOf(token: string): Record<string, unknown> | undefined {
  const [, payload, signature, ...more] = token.split(".");
  if (payload === undefined || !signature || more.length > 0) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(payload, { alphabet: "base64url" });
    const parsed = JSON.parse(new TextDecoder().decode(bytes));
    return isRecord(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isBound(claim: unknown): boolean {
  if (!isRecord(claim) || !isRecord(claim.pod)) return false;
  const { name, uid } = claim.pod;
  return typeof name === "string" && name !== "" && typeof uid === "string" && uid !== "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(problem: string): TokenClaimsResult {
  return { kind: "refused", problem };
}
