import { createHash } from "node:crypto";
import type { Certificate } from "../../shared/x509/certificate.ts";
import { abbreviate } from "../../shared/text/printable_text.ts";
import { computeFingerprint } from "../../shared/x509/fingerprint.ts";

/**
 * A root, or a CA below one, whose key an operator marked as compromised. It remains in the list when it
 * is trusted again, so that a replica that remembers the former entry does not bring that back.
 */
export interface UntrustedRoot {
  /** That of the root, or of the CA that is below a root. */
  readonly fingerprint: string;
  /** SHA-256 over the public key: no other certificate of this key is trusted; undefined: not known. */
  readonly key: string | undefined;
  /** An operator decided to trust it again. */
  readonly isTrustedAgain: boolean;
  /** How often it was marked as compromised. */
  readonly revision: number;
  /** For operators. */
  readonly subject: string;
}

/** Lists a root as untrusted, also when it was trusted again. */
export function distrust(
  list: readonly UntrustedRoot[],
  { fingerprint, certificate, keyFingerprint: givenKey }: {
    readonly fingerprint: string;
    readonly certificate?: Certificate | undefined;
    /** That of a CA whose certificate is not available. */
    readonly keyFingerprint?: string | undefined;
  },
): UntrustedRoot[] {
  const known = list.find((one) => one.fingerprint === fingerprint);
  if (known !== undefined && !known.isTrustedAgain) return [...list];
  const entry: UntrustedRoot = {
    fingerprint,
    key: (certificate ? keyFingerprint(certificate) : givenKey) ?? known?.key,
    isTrustedAgain: false,
    revision: (known?.revision ?? 0) + 1,
    subject: certificate ? abbreviate(certificate.subject) : known?.subject ?? "",
  };
  return mergeUntrusted(list, [entry]);
}

/**
 * Merges two lists; of two entries of one root the later one remains. Of two entries with the same
 * revision the one that is trusted again is later, so that an operator only has to change that word.
 */
export function mergeUntrusted(
  first: readonly UntrustedRoot[],
  second: readonly UntrustedRoot[],
): UntrustedRoot[] {
  const merged = new Map(first.map((one) => [one.fingerprint, one]));
  for (const one of second) {
    const known = merged.get(one.fingerprint);
    merged.set(one.fingerprint, known === undefined ? one : laterOf(known, one));
  }
  return [...merged.values()].toSorted((one, other) =>
    one.fingerprint < other.fingerprint ? -1 : 1
  );
}

function laterOf(one: UntrustedRoot, other: UntrustedRoot): UntrustedRoot {
  const rank = ({ revision, isTrustedAgain }: UntrustedRoot) =>
    2 * revision + Number(isTrustedAgain);
  const [earlier, later] = rank(one) > rank(other) ? [other, one] : [one, other];
  return { ...later, key: later.key ?? earlier.key, subject: later.subject || earlier.subject };
}

/** The entry for which a certificate is not trusted: its own, or one of its key. */
export function untrustedEntry(
  list: readonly UntrustedRoot[],
  certificate: Certificate,
): UntrustedRoot | undefined {
  if (list.length === 0) return undefined;
  const fingerprint = computeFingerprint([certificate]);
  const own = list.find((one) => one.fingerprint === fingerprint);
  if (own !== undefined) return own.isTrustedAgain ? undefined : own;
  const key = keyFingerprint(certificate);
  return list.find((one) => one.key === key && !one.isTrustedAgain);
}

/** Whether a root or a CA is listed by its fingerprint. */
export function isUntrusted(list: readonly UntrustedRoot[], fingerprint: string): boolean {
  return list.some((one) => one.fingerprint === fingerprint && !one.isTrustedAgain);
}

/** SHA-256 over the SubjectPublicKeyInfo, in hexadecimal. */
export function keyFingerprint({ spki }: Certificate): string {
  return createHash("sha256").update(spki).digest("hex");
}
