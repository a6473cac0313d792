import { describeCertificate } from "../../shared/x509/certificate.ts";
import type { LoadedCa } from "./loaded_ca.ts";
import type { CaReference, TrustState } from "./trust_state.ts";
import { distrust, isUntrusted, untrustedEntry, type UntrustedRoot } from "./untrusted_roots.ts";

/** The certificate because of which a CA must not sign, as messages name it, and its entry in the list. */
export function untrustedCa(
  list: readonly UntrustedRoot[],
  { fingerprint, issuer, anchors }: LoadedCa,
): { readonly shown: string; readonly entry: UntrustedRoot } | undefined {
  const own = list.find((one) => one.fingerprint === fingerprint);
  if (own !== undefined && isUntrusted(list, fingerprint)) {
    return { shown: describeCertificate(issuer.certificate), entry: own };
  }
  for (const certificate of new Set([issuer.certificate, ...issuer.chain, ...anchors])) {
    const entry = untrustedEntry(list, certificate);
    if (entry !== undefined) return { shown: describeCertificate(certificate), entry };
  }
}

/**
 * Removes the roots that are listed as untrusted, and the CAs below them: another version, or an editor, can
 * have published them again.
 */
export function withoutUntrusted(state: TrustState): TrustState {
  const { untrusted, signing, pending } = state;
  if (untrusted.length === 0) return state;
  const removed = new Set(
    state.anchors.filter(({ certificate }) => untrustedEntry(untrusted, certificate) !== undefined)
      .map(({ fingerprint }) => fingerprint),
  );
  const isTrusted = (ca: CaReference | undefined) =>
    ca !== undefined && !isUntrusted(untrusted, ca.fingerprint) &&
    !ca.anchors.some((fingerprint) => removed.has(fingerprint));
  return {
    ...state,
    anchors: state.anchors.filter(({ fingerprint }) => !removed.has(fingerprint)),
    signing: isTrusted(signing) ? signing : undefined,
    pending: isTrusted(pending) ? pending : undefined,
  };
}

/** Whether two references are of one certificate, also where other certificates are above it. */
export function isSameCa(one: CaReference, other: CaReference): boolean {
  return one.fingerprint === other.fingerprint || (one.certificateFingerprint !== undefined &&
    one.certificateFingerprint === other.certificateFingerprint);
}

/** Adds to the list, after a compromise, every root that the new CA does not need, and the CAs before it. */
export function withCompromised(
  { untrusted, anchors, signing, pending }: TrustState,
  ca: CaReference,
  requested: ReadonlySet<string>,
): UntrustedRoot[] {
  const former = [signing, pending].filter((one) => one !== undefined)
    .filter((one) => !isSameCa(one, ca));
  const untrustedNow = [
    ...anchors.filter(({ fingerprint }) => !requested.has(fingerprint)),
    ...former,
  ];
  return untrustedNow.reduce<UntrustedRoot[]>(distrust, [...untrusted]);
}
