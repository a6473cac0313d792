import { mergeUntrusted, type UntrustedRoot } from "./untrusted_roots.ts";

/** Identifies one version of the object that contained a CA. */
export interface SourceVersion {
  /** The Secret's uid. */
  readonly uid: string;
  /** Its resourceVersion. */
  readonly version: string;
}

/** What the replicas remember in addition to the bundle and the CAs in it. */
export interface RotationRecord {
  readonly untrusted: readonly UntrustedRoot[];
  /** The Secret that was acted on last; undefined for a CA in files. */
  readonly source: SourceVersion | undefined;
  /** Counts the writes, so that a document that was replaced by a former one is recognised. */
  readonly revision: number;
}

export const emptyRecord: RotationRecord = { untrusted: [], source: undefined, revision: 0 };

/**
 * Whether a Secret is older than another one. Kubernetes defines the versions of one object as decimal
 * numbers that increase (since 1.35; etcd always did). Versions of another form, or of a Secret that
 * was made again, cannot be compared, and no one of them is older.
 */
export function isOlder(one: SourceVersion | undefined, other: SourceVersion | undefined): boolean {
  if (one === undefined || other === undefined || one.uid !== other.uid) return false;
  if (![one, other].every(({ version }) => /^[1-9][0-9]{0,39}$/.test(version))) return false;
  return BigInt(one.version) < BigInt(other.version);
}

const explanation =
  `# Written by cert-service. A line "untrusted" names a root that is never published again:
# its fingerprint, the fingerprint of its key, how often it was marked, and its subject.
# To trust it again, replace the word untrusted by trusted.
`;

/** One line for each statement, so that a line that is damaged does not affect the others. */
export function formatRecord({ untrusted, source, revision }: RotationRecord): string {
  const roots = untrusted.map(({ fingerprint, key, isTrustedAgain, revision, subject }) =>
    [isTrustedAgain ? "trusted" : "untrusted", fingerprint, key ?? "-", revision, subject]
      .join(" ").trimEnd()
  );
  const secret = source === undefined ? [] : [`secret ${source.uid} ${source.version}`];
  return `${explanation}${[`revision ${revision}`, ...secret, ...roots].join("\n")}\n`;
}

/**
 * Reads the record; absent, it is empty. Of a line that is damaged only a fingerprint is used, as that of
 * an untrusted root. The problems name such lines.
 */
export function parseRecord(
  text: string | undefined,
): { readonly record: RotationRecord; readonly problems: readonly string[] } {
  const untrusted: UntrustedRoot[] = [];
  let { source, revision } = emptyRecord;
  const problems: string[] = [];
  for (const [index, given] of (text ?? "").split("\n").entries()) {
    // Some editors write CR LF, or leave spaces at the end of a line.
    const line = given.trimEnd();
    if (line === "" || line.startsWith("#")) continue;
    const read = parseLine(line);
    untrusted.push(...read.untrusted ?? []);
    source = read.source ?? source;
    revision = Math.max(revision, read.revision ?? 0);
    if (!read.isComplete) problems.push(`line ${index + 1} cannot be read`);
  }
  return { record: { untrusted: mergeUntrusted([], untrusted), source, revision }, problems };
}

function parseLine(line: string): Partial<RotationRecord> & { readonly isComplete: boolean } {
  const [, revision] = /^revision ([0-9]{1,15})$/.exec(line) ?? [];
  if (revision !== undefined) return { revision: Number(revision), isComplete: true };
  const [, uid, version] = /^secret (\S{1,253}) (\S{1,253})$/.exec(line) ?? [];
  if (uid !== undefined && version !== undefined) {
    return { source: { uid, version }, isComplete: true };
  }
  const root =
    /^(untrusted|trusted) ([0-9a-f]{64}) ([0-9a-f]{64}|-) ([1-9][0-9]{0,8})(?: (.{0,200}))?$/
      .exec(line);
  if (root !== null) {
    const [, word, fingerprint = "", key, count, subject = ""] = root;
    const entry: UntrustedRoot = {
      fingerprint,
      key: key === "-" ? undefined : key,
      isTrustedAgain: word === "trusted",
      revision: Number(count),
      subject,
    };
    return { untrusted: [entry], isComplete: true };
  }
  const [fingerprint] = /\b[0-9a-f]{64}\b/.exec(line) ?? [];
  if (fingerprint === undefined) return { isComplete: false };
  const salvaged = {
    fingerprint,
    key: undefined,
    isTrustedAgain: false,
    revision: 1,
    subject: "",
  };
  return { untrusted: [salvaged], isComplete: false };
}
