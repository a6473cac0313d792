import type { LoadedCa } from "./loaded_ca.ts";
import type { CurrentCa, SigningMaterial } from "./current_ca.ts";
import { rootsRetireAt } from "./rotation.ts";
import { computeFingerprint, type TrustState } from "./trust_state.ts";

/** The CAs whose keys a replica has. */
export interface AvailableCas {
  /** What the source holds. */
  readonly latest: LoadedCa | undefined;
  /** What signed last. */
  readonly previous: LoadedCa | undefined;
}

/**
 * The CA that is to sign; while this replica has not seen that one, the one before for as long as it
 * is trusted; or undefined.
 */
export function chooseSigningCa(
  { signing, anchors }: TrustState,
  { latest, previous }: AvailableCas,
): LoadedCa | undefined {
  const due = [latest, previous].find((ca) => ca && ca.fingerprint === signing?.fingerprint);
  if (due !== undefined || previous === undefined) return due;
  const roots = rootsOf(previous);
  return anchors.some(({ fingerprint }) => roots.includes(fingerprint)) ? previous : undefined;
}

/** What a CA signs with in this state; never past its root's retirement. */
export function signingMaterial({ issuer, ...ca }: LoadedCa, state: TrustState): SigningMaterial {
  return {
    issuer,
    anchors: state.anchors.map(({ certificate }) => certificate),
    retireAt: rootsRetireAt(state, rootsOf({ ...ca, issuer })),
  };
}

/** Whether the current CA has this material already, so that no listener need be called. */
export function isCurrentMaterial({ material }: CurrentCa, next: SigningMaterial): boolean {
  return material !== undefined && material.issuer === next.issuer &&
    String(material.retireAt) === String(next.retireAt) &&
    computeFingerprint(material.anchors) === computeFingerprint(next.anchors);
}

function rootsOf({ anchors }: LoadedCa): string[] {
  return anchors.map((certificate) => computeFingerprint([certificate]));
}
