import { earlier, later } from "../../shared/scheduler/instants.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import type { Certificate } from "../../shared/x509/certificate.ts";
import { longer } from "../../shared/text/durations.ts";
import type { SigningMaterial } from "./current_ca.ts";
import { bundleRejection, type CandidateRejection, candidateRejection } from "./candidate_check.ts";
import { untrustedCa, withCompromised, withoutUntrusted } from "./compromised_cas.ts";
import { type LoadedCa, referenceTo, rootsOf } from "./loaded_ca.ts";
import { computeFingerprint } from "../../shared/x509/fingerprint.ts";
import { type CaReference, type TrustAnchor, type TrustState } from "./trust_state.ts";
import { untrustedEntry } from "./untrusted_roots.ts";

export interface RotationSettings {
  /** From an anchor's publication to the first signature that leads to it. */
  readonly delay: Temporal.Duration;
  /** The longest validity that a certificate can be given now. */
  readonly longestValidity: Temporal.Duration;
}

/**
 * Returns the state that follows now: from time alone, and from the candidate where one is given. With a
 * rejection the candidate is not in the state. A new CA's roots are published at once. It signs when they
 * have been published for the delay. The roots of the previous CA are removed when the last certificate
 * that it signed has expired. No state contains a root that is listed as untrusted. The same candidate
 * again changes nothing, so replicas may each apply the same CA in any order.
 */
export function nextTrustState(
  before: TrustState,
  candidate: LoadedCa | undefined,
  now: Temporal.Instant,
  settings: RotationSettings,
): { readonly state: TrustState; readonly rejection?: CandidateRejection | undefined } {
  const state = withoutUntrusted(applyElapsedTime(before, now, settings));
  if (candidate === undefined) return { state };
  const rejection = candidateRejection(state, candidate);
  if (rejection !== undefined) return { state, rejection };
  const after = applyCandidate(
    withFormerCa(state, candidate, now, settings),
    candidate,
    now,
    settings,
  );
  const tooLarge = bundleRejection(state, after, candidate);
  return tooLarge ? { state, rejection: tooLarge } : { state: after };
}

/** When the state changes next without another candidate; undefined for never. */
export function nextChange({ pending, anchors }: TrustState): Temporal.Instant | undefined {
  const instants = [pending?.switchAt, ...anchors.map(({ retireAt }) => retireAt)]
    .filter((at) => at !== undefined);
  return instants.toSorted(Temporal.Instant.compare)[0];
}

/** The CAs whose keys a replica has, or had. */
export interface HeldCas {
  /** The CA that the source holds. */
  readonly latest: LoadedCa | undefined;
  /** The CA before it, which the source also holds. */
  readonly former: LoadedCa | undefined;
  /** The CA that signed last. */
  readonly previous: LoadedCa | undefined;
}

/**
 * Returns the CA that signs in this state. A replica that has not read that CA signs with the one with
 * which it signed before, for as long as a root of that one is trusted. Undefined when it has neither.
 */
export function chooseSigningCa(
  { signing, anchors, untrusted }: TrustState,
  { latest, former, previous }: HeldCas,
): LoadedCa | undefined {
  const usable = [latest, former, previous].filter((ca) => ca !== undefined)
    .filter((ca) => untrustedCa(untrusted, ca) === undefined);
  const due = usable.find(({ fingerprint }) => fingerprint === signing?.fingerprint);
  if (due !== undefined || previous === undefined || !usable.includes(previous)) return due;
  return leadsTo(previous, anchors) ? previous : undefined;
}

/** Whether a CA leads to one of these roots. */
export function leadsTo(ca: LoadedCa, anchors: readonly TrustAnchor[]): boolean {
  const roots = rootsOf(ca);
  return anchors.some(({ fingerprint }) => roots.includes(fingerprint));
}

/** What a CA signs with in this state; what it signs ends before its root is retired. */
export function signingMaterial(ca: LoadedCa, state: TrustState): SigningMaterial {
  return {
    issuer: ca.issuer,
    anchors: state.anchors.map(({ certificate }) => certificate),
    retireAt: rootsRetireAt(state, rootsOf(ca)),
  };
}

/** When the last of a CA's roots is retired; undefined while one of them is not replaced. */
function rootsRetireAt(
  state: TrustState,
  roots: readonly string[],
): Temporal.Instant | undefined {
  const own = state.anchors.filter(({ fingerprint }) => roots.includes(fingerprint));
  if (own.some(({ retireAt }) => retireAt === undefined)) return undefined;
  return own.map(({ retireAt }) => retireAt).filter((at) => at !== undefined)
    .toSorted(Temporal.Instant.compare).at(-1);
}

/** Where nothing is known, as after the document was lost, the rotation from the former CA begins again. */
function withFormerCa(
  state: TrustState,
  { former, compromised }: LoadedCa,
  now: Temporal.Instant,
  settings: RotationSettings,
): TrustState {
  const isKnown = state.signing !== undefined || state.anchors.length > 0;
  if (isKnown || compromised || former === undefined) return state;
  if (untrustedCa(state.untrusted, former) !== undefined) return state;
  return applyCandidate(state, former, now, settings);
}

function applyElapsedTime(
  state: TrustState,
  now: Temporal.Instant,
  { longestValidity }: RotationSettings,
): TrustState {
  const { signing, pending, anchors } = state;
  const left = anchors.filter(({ retireAt }) => retireAt === undefined || isBefore(now, retireAt));
  if (pending !== undefined && !isBefore(now, pending.switchAt)) {
    const { switchAt: _passed, ...ca } = pending;
    return {
      ...state,
      signing: { ...ca, longestValidity },
      pending: undefined,
      anchors: left,
    };
  }
  if (signing === undefined) return { ...state, anchors: left };
  const longest = longer(signing.longestValidity, longestValidity);
  // The longest validity of what is signed until the switch can have become longer in the meantime.
  const withLaterRetirement = (anchor: TrustAnchor) =>
    pending === undefined || anchor.retireAt === undefined ||
      !signing.anchors.includes(anchor.fingerprint)
      ? anchor
      : { ...anchor, retireAt: retireAfter(pending.switchAt, longest, anchor) };
  return {
    ...state,
    signing: { ...signing, longestValidity: longest },
    anchors: left.map(withLaterRetirement),
  };
}

function applyCandidate(
  state: TrustState,
  candidate: LoadedCa,
  now: Temporal.Instant,
  settings: RotationSettings,
): TrustState {
  const { compromised } = candidate;
  // The further anchors may contain the compromised root.
  const requested = [...candidate.anchors, ...(compromised ? [] : candidate.furtherAnchors)]
    .filter((certificate) => untrustedEntry(state.untrusted, certificate) === undefined);
  const published = publish(state.anchors, requested, now);
  const ca = referenceTo(candidate);
  const isFirst = state.signing === undefined && state.anchors.length === 0;
  const switchAt = compromised || isFirst || state.signing?.fingerprint === ca.fingerprint
    ? now
    : state.pending?.fingerprint === ca.fingerprint
    ? state.pending.switchAt
    : earliestSwitch(ca, published, now, settings);
  const requestedFingerprints = new Set(
    requested.map((certificate) => computeFingerprint([certificate])),
  );
  const anchors = published.filter((anchor) =>
    !compromised || requestedFingerprints.has(anchor.fingerprint)
  )
    .map((anchor) =>
      requestedFingerprints.has(anchor.fingerprint)
        ? { ...anchor, retireAt: undefined }
        : withRetirement(anchor, state, switchAt, now, settings)
    );
  const known = {
    ...state,
    anchors,
    source: candidate.source ?? state.source,
    untrusted: compromised ? withCompromised(state, ca, requestedFingerprints) : state.untrusted,
  };
  if (isBefore(now, switchAt)) return { ...known, pending: { ...ca, switchAt } };
  const longestValidity = state.signing?.fingerprint === ca.fingerprint
    ? state.signing.longestValidity
    : settings.longestValidity;
  return { ...known, signing: { ...ca, longestValidity }, pending: undefined };
}

function publish(
  anchors: readonly TrustAnchor[],
  requested: readonly Certificate[],
  now: Temporal.Instant,
): TrustAnchor[] {
  const known = new Map(anchors.map((anchor) => [anchor.fingerprint, anchor]));
  for (const certificate of requested) {
    const fingerprint = computeFingerprint([certificate]);
    if (known.has(fingerprint)) continue;
    known.set(fingerprint, { fingerprint, certificate, publishedAt: now, retireAt: undefined });
  }
  return [...known.values()];
}

/** When all roots of a CA have been published for the delay: now, where they have been. */
function earliestSwitch(
  { anchors: own }: CaReference,
  published: readonly TrustAnchor[],
  now: Temporal.Instant,
  { delay }: RotationSettings,
): Temporal.Instant {
  return published.filter(({ fingerprint }) => own.includes(fingerprint))
    .map(({ publishedAt }) => publishedAt.add(delay))
    .reduce(later, now);
}

/** Adds the time of retirement to an anchor that the candidate does not need. */
function withRetirement(
  anchor: TrustAnchor,
  { signing }: TrustState,
  switchAt: Temporal.Instant,
  now: Temporal.Instant,
  { longestValidity }: RotationSettings,
): TrustAnchor {
  if (signing?.anchors.includes(anchor.fingerprint)) {
    return { ...anchor, retireAt: retireAfter(switchAt, signing.longestValidity, anchor) };
  }
  if (anchor.retireAt !== undefined) return anchor;
  return { ...anchor, retireAt: retireAfter(now, longestValidity, anchor) };
}

/**
 * When a root is retired: when what its CA signed until `last` has expired for replicas and clients of
 * every clock, or when the root itself expires.
 */
function retireAfter(
  last: Temporal.Instant,
  validity: Temporal.Duration,
  { certificate: { notAfter } }: TrustAnchor,
): Temporal.Instant {
  return earlier(notAfter, last.add(validity).add(maxClockSkew));
}

function isBefore(first: Temporal.Instant, second: Temporal.Instant): boolean {
  return Temporal.Instant.compare(first, second) < 0;
}
