import { getLogger } from "@logtape/logtape";
import { EventLoopTurns } from "../scheduler/event_loop_turns.ts";
import { parseAttributes, type VolumeAttributes } from "../x509/attributes.ts";
import { type Certificate, readCertificates } from "../x509/certificate.ts";
import { sameOctets } from "../x509/der.ts";
import { claimedPublicKey, publicKeyOf } from "../x509/keys.ts";
import type { Obtained } from "./certificate_source.ts";
import type { Mounter, VolumeFiles, VolumeRecord, VolumeStore } from "./ports.ts";
import type { VolumeTable } from "./volume_table.ts";

const logger = getLogger(["csi-driver", "volume"]);
/** An adopted certificate's issue is taken to be this long after its notBefore, which is back-dated. */
const backdated = { minutes: 5 };
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

/**
 * Looks at what a pod sees at a target. `keyUnproven`: takes an EC key's word for its public half,
 * which to work out takes as long as everything else together.
 */
export async function examine(
  mounter: Mounter,
  placement: Placement,
  now: Temporal.Instant,
  { keyUnproven } = { keyUnproven: false },
): Promise<Health> {
  const { targetPath, parsed } = placement;
  const state = mounter.state(targetPath);
  if (state !== "ours") return { kind: state };
  const names = [parsed.certificateFile, parsed.privateKeyFile, parsed.caFile];
  const [certificatePem, privateKeyPem, trustBundlePem] = await mounter.readAll(targetPath, names);
  if (!certificatePem || !privateKeyPem || !trustBundlePem) {
    return { kind: "broken", problem: "a file is missing or empty", contents: undefined };
  }
  const contents = { certificatePem, privateKeyPem, trustBundlePem };
  const broken = (problem: string): Health => ({ kind: "broken", problem, contents });
  const leaf = readCertificates(certificatePem)?.[0];
  if (leaf === undefined) return broken("the certificate cannot be read");
  const claimed = keyUnproven ? claimedPublicKey(privateKeyPem) : undefined;
  const publicKey = claimed ?? await publicKeyOf(privateKeyPem);
  if (publicKey === undefined) return broken("the key cannot be read");
  if (!sameOctets(publicKey, leaf.spki)) return broken("the key does not fit the certificate");
  if (Temporal.Instant.compare(leaf.notAfter, now) <= 0) return broken("the certificate expired");
  return { kind: "healthy", leaf, contents };
}

/** The record's fields that are the certificate's own, as a mounted one tells them. */
export function issuedFields(leaf: Certificate): Pick<VolumeRecord, IssuedFields> {
  const { serialNumber, notAfter } = leaf;
  return { issuedAt: leaf.notBefore.add(backdated), serialNumber, notAfter };
}

/** Puts an obtained certificate where the pod sees it, and its record into the store and the table. */
export class VolumeWriter {
  readonly #mounter: Mounter;
  readonly #store: VolumeStore;
  readonly #table: VolumeTable;
  /** A mount is made at once, in milliseconds on a node full of them. */
  readonly #turns = new EventLoopTurns();

  constructor(parts: { mounter: Mounter; store: VolumeStore; table: VolumeTable }) {
    this.#mounter = parts.mounter;
    this.#store = parts.store;
    this.#table = parts.table;
  }

  /** Mounts, or swaps the files of what is mounted. Undoes the mount it made when the record fails. */
  async write(volume: Omit<VolumeRecord, IssuedFields>, obtained: Obtained, placement: Placement) {
    const { issuedAt, leaf } = obtained;
    const { serialNumber, notAfter } = leaf;
    const record: VolumeRecord = { ...volume, issuedAt, serialNumber, notAfter };
    const files = volumeFiles(obtained, placement);
    await this.#turns.take();
    if (this.#mounter.state(record.targetPath) === "ours") {
      await this.#mounter.replace(record.targetPath, files);
      await this.record(record, obtained.certificatePem);
      return record;
    }
    await using undo = new AsyncDisposableStack();
    await this.#mounter.publish(record.targetPath, files);
    undo.defer(() => this.#mounter.unpublish(record.targetPath));
    await this.#store.save(record, obtained.certificatePem);
    undo.move();
    this.#table.set(record);
    return record;
  }

  /**
   * Records what is mounted already. A disk that cannot take the record is no reason to fail a volume that works: the
   * sweep tries again, and a restart meanwhile learns of the certificate from the mount itself.
   */
  async record(record: VolumeRecord, certificatePem: string): Promise<void> {
    let saved = true;
    try {
      await this.#store.save(record, certificatePem);
    } catch (error) {
      saved = false;
      const { pod, volumeId } = record;
      logger.error(
        "the record of {namespace}/{pod} cannot be written, to be tried again: {reason}",
        {
          namespace: pod.namespace,
          pod: pod.name,
          volumeId,
          reason: error instanceof Error ? error.message : String(error),
        },
      );
    }
    this.#table.set(record, { saved });
  }
}

type IssuedFields = "issuedAt" | "serialNumber" | "notAfter";
