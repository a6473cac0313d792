import { parseAttributes, type VolumeAttributes } from "../x509/attributes.ts";
import { type Certificate, readCertificates } from "../x509/certificate.ts";
import { sameOctets } from "../x509/der.ts";
import { publicKeyOf } from "../x509/keys.ts";
import type { Obtained } from "./certificate_source.ts";
import type { Mounter, VolumeFiles, VolumeRecord, VolumeStore } from "./ports.ts";

/** Permission bits as of a Secret volume: readable by every user of the pod. */
const openMode = 0o644;
/** With the pod's group as owner, only root and that group read. */
const groupMode = 0o640;

/** The state of a volume at its target. */
export type Health =
  | { readonly kind: "healthy"; readonly leaf: Certificate; readonly contents: Contents }
  /** Mounted, but without a valid certificate and its key. */
  | { readonly kind: "broken"; readonly problem: string; readonly contents: Contents | undefined }
  | { readonly kind: "absent" }
  | { readonly kind: "foreign" };

/** The three files' texts. */
export interface Contents {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly trustBundlePem: string;
}

/** Where and how a volume's files lie. */
export interface Placement {
  readonly targetPath: string;
  readonly parsed: VolumeAttributes;
  readonly group: number | undefined;
}

/** A record's placement; its attributes were checked when it was made. */
export function placementOf(record: VolumeRecord): Placement | undefined {
  const parsed = parseAttributes({ ...record.attributes });
  if (parsed.kind === "refused") return undefined;
  return { targetPath: record.targetPath, parsed: parsed.attributes, group: record.group };
}

/** The files that a volume holds. */
export function volumeFiles(contents: Contents, placement: Placement): VolumeFiles {
  const { parsed, group } = placement;
  return {
    contents: new Map([
      [parsed.certificateFile, contents.certificatePem],
      [parsed.privateKeyFile, contents.privateKeyPem],
      [parsed.caFile, contents.trustBundlePem],
    ]),
    mode: parsed.fileMode ?? (group === undefined ? openMode : groupMode),
    group,
  };
}

/** Looks at what a pod sees at a target. */
export async function examine(
  mounter: Mounter,
  placement: Placement,
  now: Temporal.Instant,
): Promise<Health> {
  const { targetPath, parsed } = placement;
  const state = mounter.state(targetPath);
  if (state !== "ours") return { kind: state };
  const [certificatePem, privateKeyPem, trustBundlePem] = await Promise.all([
    mounter.read(targetPath, parsed.certificateFile),
    mounter.read(targetPath, parsed.privateKeyFile),
    mounter.read(targetPath, parsed.caFile),
  ]);
  if (!certificatePem || !privateKeyPem || !trustBundlePem) {
    return { kind: "broken", problem: "a file is missing or empty", contents: undefined };
  }
  const contents = { certificatePem, privateKeyPem, trustBundlePem };
  const broken = (problem: string): Health => ({ kind: "broken", problem, contents });
  const leaf = readCertificates(certificatePem)?.[0];
  if (leaf === undefined) return broken("the certificate cannot be read");
  const publicKey = await publicKeyOf(privateKeyPem);
  if (publicKey === undefined) return broken("the key cannot be read");
  if (!sameOctets(publicKey, leaf.spki)) return broken("the key does not fit the certificate");
  if (Temporal.Instant.compare(leaf.notAfter, now) <= 0) return broken("the certificate expired");
  return { kind: "healthy", leaf, contents };
}

/** Puts an obtained certificate where the pod sees it, and the record beside it. */
export class VolumeWriter {
  readonly #mounter: Mounter;
  readonly #store: VolumeStore;

  constructor(mounter: Mounter, store: VolumeStore) {
    this.#mounter = mounter;
    this.#store = store;
  }

  /** Mounts, or swaps the files of what is mounted. Undoes the mount it made when the record fails. */
  async write(volume: Omit<VolumeRecord, IssuedFields>, obtained: Obtained, placement: Placement) {
    const { issuedAt, leaf } = obtained;
    const { serialNumber, notAfter } = leaf;
    const record: VolumeRecord = { ...volume, issuedAt, serialNumber, notAfter };
    const files = volumeFiles(obtained, placement);
    await using undo = new AsyncDisposableStack();
    if (this.#mounter.state(record.targetPath) === "ours") {
      await this.#mounter.replace(record.targetPath, files);
    } else {
      await this.#mounter.publish(record.targetPath, files);
      undo.defer(() => this.#mounter.unpublish(record.targetPath));
    }
    await this.#store.save(record, obtained.certificatePem);
    undo.move();
    return record;
  }
}

type IssuedFields = "issuedAt" | "serialNumber" | "notAfter";
