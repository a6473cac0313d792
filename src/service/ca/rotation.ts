import type { Certificate } from "../../shared/x509/certificate.ts";
import {
  type CaReference,
  computeFingerprint,
  type TrustAnchor,
  type TrustState,
} from "./trust_state.ts";

/** A CA that the source holds now and that can sign. */
export interface CandidateCa {
  /** Over its certificate, the intermediates above it and its roots. */
  readonly fingerprint: string;
  /** The roots that it leads to. */
  readonly anchors: readonly Certificate[];
  /** Roots that are trusted in addition. */
  readonly furtherAnchors: readonly Certificate[];
  /** The CA before it is to be trusted no more, at once. */
  readonly compromised: boolean;
}

export interface RotationSettings {
  /** From an anchor's publication to the first signature that leads to it. */
  readonly delay: Temporal.Duration;
  /** The longest validity that anything can be given now. */
  readonly longestValidity: Temporal.Duration;
}

/**
 * What replicas' clocks may be apart, and their news of a switch late, so that an anchor outlives
 * the last leaf of a replica that switched a little after the others.
 */
const tolerance = { minutes: 5 };

/**
 * The state after a while has passed and, where one is given, after the source came to hold a CA.
 * A new CA's roots are published at once, and it signs when they have been for the delay; the roots
 * of the one before go when the last that it signed has expired. Given the same CA again, it
 * changes nothing, so replicas may each apply the same CA in any order.
 */
export function nextTrustState(
  before: TrustState,
  candidate: CandidateCa | undefined,
  now: Temporal.Instant,
  settings: RotationSettings,
): TrustState {
  const state = applyElapsedTime(before, now, settings);
  return candidate === undefined ? state : applyCandidate(state, candidate, now, settings);
}

/** When time alone changes the state next; undefined for never. */
export function nextChange({ pending, anchors }: TrustState): Temporal.Instant | undefined {
  const instants = [pending?.switchAt, ...anchors.map(({ retireAt }) => retireAt)]
    .filter((at) => at !== undefined);
  return instants.toSorted(Temporal.Instant.compare)[0];
}

/** When the last of a CA's roots retires; undefined: not yet known to. */
export function rootsRetireAt(state: TrustState, anchors: readonly string[]) {
  const own = state.anchors.filter(({ fingerprint }) => anchors.includes(fingerprint));
  if (own.some(({ retireAt }) => retireAt === undefined)) return undefined;
  return own.map(({ retireAt }) => retireAt).filter((at) => at !== undefined)
    .toSorted(Temporal.Instant.compare).at(-1);
}

function applyElapsedTime(
  { signing, pending, anchors }: TrustState,
  now: Temporal.Instant,
  { longestValidity }: RotationSettings,
): TrustState {
  const left = anchors.filter(({ retireAt }) => retireAt === undefined || isBefore(now, retireAt));
  if (pending !== undefined && !isBefore(now, pending.switchAt)) {
    const { fingerprint, anchors } = pending;
    return {
      signing: { fingerprint, anchors, longestValidity },
      pending: undefined,
      anchors: left,
    };
  }
  if (signing === undefined) return { signing, pending, anchors: left };
  const longest = longer(signing.longestValidity, longestValidity);
  // What may be signed until the switch can have become longer meanwhile.
  const withLaterRetirement = (anchor: TrustAnchor) =>
    pending === undefined || anchor.retireAt === undefined ||
      !signing.anchors.includes(anchor.fingerprint)
      ? anchor
      : { ...anchor, retireAt: retireAfter(pending.switchAt, longest, anchor) };
  return {
    signing: { ...signing, longestValidity: longest },
    pending,
    anchors: left.map(withLaterRetirement),
  };
}

function applyCandidate(
  state: TrustState,
  candidate: CandidateCa,
  now: Temporal.Instant,
  settings: RotationSettings,
): TrustState {
  const { compromised } = candidate;
  // The further ones may hold the old root, which would be back with them.
  const requested = [...candidate.anchors, ...(compromised ? [] : candidate.furtherAnchors)];
  const published = publish(state.anchors, requested, now);
  const ca: CaReference = {
    fingerprint: candidate.fingerprint,
    anchors: candidate.anchors.map((certificate) => computeFingerprint([certificate])),
  };
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
  if (isBefore(now, switchAt)) {
    return { signing: state.signing, pending: { ...ca, switchAt }, anchors };
  }
  const longestValidity = state.signing?.fingerprint === ca.fingerprint
    ? state.signing.longestValidity
    : settings.longestValidity;
  return { signing: { ...ca, longestValidity }, pending: undefined, anchors };
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

/** Once all of its roots have been published for the delay: at once where they have been. */
function earliestSwitch(
  { anchors: own }: CaReference,
  published: readonly TrustAnchor[],
  now: Temporal.Instant,
  { delay }: RotationSettings,
): Temporal.Instant {
  return published.filter(({ fingerprint }) => own.includes(fingerprint))
    .map(({ publishedAt }) => publishedAt.add(delay))
    .reduce((last, next) => isBefore(last, next) ? next : last, now);
}

/** An anchor that no CA needs any more. */
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

/** Nothing verifies to an anchor that has itself expired. */
function retireAfter(
  last: Temporal.Instant,
  validity: Temporal.Duration,
  { certificate: { notAfter } }: TrustAnchor,
): Temporal.Instant {
  const at = last.add(validity).add(tolerance);
  return isBefore(notAfter, at) ? notAfter : at;
}

function longer(first: Temporal.Duration, second: Temporal.Duration): Temporal.Duration {
  return Temporal.Duration.compare(first, second) >= 0 ? first : second;
}

function isBefore(first: Temporal.Instant, second: Temporal.Instant): boolean {
  return Temporal.Instant.compare(first, second) < 0;
}
