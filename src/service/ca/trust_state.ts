import { later } from "../../shared/scheduler/instants.ts";
import {
  type Certificate,
  readCertificate,
  readCertificates,
} from "../../shared/x509/certificate.ts";
import { formatDuration, parseDuration } from "../../shared/text/durations.ts";
import { encodePem } from "../../shared/crypto/pem.ts";
import { computeFingerprint } from "../../shared/x509/fingerprint.ts";
import { emptyRecord, formatRecord, parseRecord, type RotationRecord } from "./rotation_record.ts";

/** A root in the trust bundle of drivers and pods. */
export interface TrustAnchor {
  readonly fingerprint: string;
  readonly certificate: Certificate;
  readonly publishedAt: Temporal.Instant;
  /** When it is removed from the trust bundle; undefined while no other CA replaces it. */
  readonly retireAt: Temporal.Instant | undefined;
}

/** A CA in the shared state. */
export interface CaReference {
  readonly fingerprint: string;
  /** SHA-256 over its own certificate, and over its public key; undefined where an earlier version wrote the state. */
  readonly certificateFingerprint: string | undefined;
  readonly keyFingerprint: string | undefined;
  /** The fingerprints of the roots that it leads to. */
  readonly anchors: readonly string[];
}

/** What the replicas agree on: the CA that signs, the next one, and the roots that are trusted or no more. */
export interface TrustState extends RotationRecord {
  readonly signing:
    | (CaReference & {
      /** The longest validity of any certificate that it can have signed. */
      readonly longestValidity: Temporal.Duration;
    })
    | undefined;
  readonly pending: (CaReference & { readonly switchAt: Temporal.Instant }) | undefined;
  readonly anchors: readonly TrustAnchor[];
}

export const emptyTrustState: TrustState = {
  signing: undefined,
  pending: undefined,
  anchors: [],
  ...emptyRecord,
};

const bundleKey = "ca.crt";
const stateKey = "state.json";
/** Apart from the state, which earlier versions write without what they do not know. */
const recordKey = "rotation.txt";
const formatVersion = 1;

/** When the last certificate expires that the CAs of this state can have signed until now. */
export function lastExpiry({ signing, anchors }: TrustState, now: Temporal.Instant) {
  const ofFormerCas = anchors.map(({ retireAt }) => retireAt).filter((at) => at !== undefined);
  return ofFormerCas.concat(signing ? now.add(signing.longestValidity) : []).reduce(later, now);
}

/** The trust bundle as drivers and pods have it, PEM. */
export function bundlePem(anchors: readonly TrustAnchor[]): string {
  return anchors.map(({ certificate }) => encodePem("CERTIFICATE", certificate.der)).join("");
}

/** The state as the shared document's data: `ca.crt` for drivers, the others for the replicas. */
export function formatTrustState(trustState: TrustState): Record<string, string> {
  const { signing, pending, anchors } = trustState;
  const state = {
    version: formatVersion,
    signing: signing && { ...signing, longestValidity: formatDuration(signing.longestValidity) },
    pending: pending && { ...pending, switchAt: pending.switchAt.toString() },
    anchors: anchors.map(({ certificate, publishedAt, retireAt }) => ({
      certificate: certificate.der.toBase64(),
      publishedAt: publishedAt.toString(),
      retireAt: retireAt?.toString(),
    })),
  };
  return {
    [bundleKey]: bundlePem(anchors),
    [stateKey]: JSON.stringify(state, null, 1) + "\n",
    [recordKey]: formatRecord(trustState),
  };
}

/**
 * Reads the state from a document's data. A bundle alone, as in a new installation, gives anchors that
 * have been published for long, and no CA.
 */
export function parseTrustState(
  data: Readonly<Record<string, string>>,
): { kind: "state"; state: TrustState } | Refused {
  const { record } = parseRecord(data[recordKey]);
  const parsed = parseCas(data);
  if (parsed.kind === "refused") return parsed;
  return { kind: "state", state: { ...parsed.state, ...record } };
}

/** What the replicas remember, which can be read also when the rest is broken. */
export function parseRotationRecord(
  data: Readonly<Record<string, string>>,
): ReturnType<typeof parseRecord> {
  const { record, problems } = parseRecord(data[recordKey]);
  return { record, problems: problems.map((problem) => `${recordKey}: ${problem}`) };
}

type CaState = Omit<TrustState, keyof RotationRecord>;
type Refused = { readonly kind: "refused"; readonly problem: string };
type ParsedCas = { readonly kind: "state"; readonly state: CaState } | Refused;

function parseCas(data: Readonly<Record<string, string>>): ParsedCas {
  const text = data[stateKey];
  if (text === undefined || text.trim() === "") return parseBundle(data[bundleKey] ?? "");
  try {
    return { kind: "state", state: readState(fields(JSON.parse(text), stateKey)) };
  } catch (error) {
    if (error instanceof SyntaxError) return refused(`${stateKey} is not JSON`);
    if (error instanceof JsonFieldError) return refused(error.message);
    throw error;
  }
}

function parseBundle(pem: string): ParsedCas {
  const certificates = readCertificates(pem);
  if (certificates === undefined) {
    return refused(`${bundleKey} contains a certificate that is broken`);
  }
  const publishedAt = Temporal.Instant.fromEpochMilliseconds(0);
  const anchors = certificates.map((certificate): TrustAnchor => ({
    fingerprint: computeFingerprint([certificate]),
    certificate,
    publishedAt,
    retireAt: undefined,
  }));
  const cas = { signing: undefined, pending: undefined };
  return { kind: "state", state: { ...cas, anchors: distinct(anchors) } };
}

/** States which field of the text is not valid; is only thrown and caught in this file. */
class JsonFieldError extends Error {}

type Fields = Readonly<Record<string, unknown>>;

function readState(value: Fields): CaState {
  if (value.version !== formatVersion) {
    throw new JsonFieldError(
      `${stateKey} has version ${JSON.stringify(value.version)}; expected 1`,
    );
  }
  const anchors = distinct(list(value.anchors, "anchors").map(readAnchor));
  const known = new Set(anchors.map(({ fingerprint }) => fingerprint));
  const caReference = (given: Fields, what: string): CaReference => ({
    fingerprint: fingerprint(given.fingerprint, `${what}.fingerprint`),
    certificateFingerprint: optional(
      given.certificateFingerprint,
      `${what}.certificateFingerprint`,
      fingerprint,
    ),
    keyFingerprint: optional(given.keyFingerprint, `${what}.keyFingerprint`, fingerprint),
    anchors: list(given.anchors, `${what}.anchors`)
      .map((one) => fingerprint(one, `${what}.anchors`))
      .filter((one) => known.has(one)),
  });
  const signing = optional(value.signing, "signing", fields);
  const pending = optional(value.pending, "pending", fields);
  return {
    signing: signing && {
      ...caReference(signing, "signing"),
      longestValidity: duration(signing.longestValidity, "signing.longestValidity"),
    },
    pending: pending && {
      ...caReference(pending, "pending"),
      switchAt: instant(pending.switchAt, "pending.switchAt"),
    },
    anchors,
  };
}

function readAnchor(value: unknown): TrustAnchor {
  const { certificate: text, publishedAt, retireAt } = fields(value, "anchors");
  const certificate = typeof text === "string" ? decode(text) : undefined;
  if (certificate === undefined) throw new JsonFieldError("anchors: a certificate is broken");
  return {
    fingerprint: computeFingerprint([certificate]),
    certificate,
    publishedAt: instant(publishedAt, "anchors.publishedAt"),
    retireAt: optional(retireAt, "anchors.retireAt", instant),
  };
}

function decode(base64: string): Certificate | undefined {
  try {
    return readCertificate(Uint8Array.fromBase64(base64));
  } catch {
    return undefined;
  }
}

/** The first of each fingerprint. */
function distinct(anchors: readonly TrustAnchor[]): TrustAnchor[] {
  const first = new Map<string, TrustAnchor>();
  for (const anchor of anchors) {
    if (!first.has(anchor.fingerprint)) first.set(anchor.fingerprint, anchor);
  }
  return [...first.values()];
}

function fields(value: unknown, what: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new JsonFieldError(`${what} is not an object`);
}

type Reader<T> = (value: unknown, what: string) => T;

function optional<T>(value: unknown, what: string, read: Reader<T>): T | undefined {
  return value === undefined ? undefined : read(value, what);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new JsonFieldError(`${what} is not a list`);
}

function fingerprint(value: unknown, what: string): string {
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) return value;
  throw new JsonFieldError(`${what} is not a SHA-256 in hexadecimal`);
}

function instant(value: unknown, what: string): Temporal.Instant {
  try {
    if (typeof value === "string") return Temporal.Instant.from(value);
  } catch {
    // Reported below.
  }
  throw new JsonFieldError(`${what} is not an instant such as 2026-01-02T03:04:05Z`);
}

function duration(value: unknown, what: string): Temporal.Duration {
  const parsed = typeof value === "string" ? parseDuration(value) : undefined;
  if (parsed !== undefined && parsed.sign >= 0) return parsed;
  throw new JsonFieldError(`${what} is not a duration such as 168h`);
}

function refused(problem: string): Refused {
  return { kind: "refused", problem };
}
