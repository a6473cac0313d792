import { parseAttributes } from "../../shared/attributes/attribute_parser.ts";
import type { VolumeAttributes } from "../../shared/attributes/volume_attributes.ts";
import type { VolumeFiles } from "./mounter.ts";
import type { VolumeRecord } from "./volume_record.ts";

/** Permission bits as of a Secret volume: readable by every user of the pod. */
const defaultMode = 0o644;
/** With the pod's group as owner, only root and that group read. */
const groupOwnedMode = 0o640;

/** The three files' texts. */
export interface VolumeContents {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly trustBundlePem: string;
}

/** Where and how a volume's files are stored. */
export interface VolumePlacement {
  readonly targetPath: string;
  readonly parsed: VolumeAttributes;
  readonly group: number | undefined;
}

/** A record's placement; its attributes were checked when it was made. */
export function placementOf(record: VolumeRecord): VolumePlacement | undefined {
  const parsed = parseAttributes({ ...record.attributes });
  if (parsed.kind === "refused") return undefined;
  return { targetPath: record.targetPath, parsed: parsed.attributes, group: record.group };
}

/** The files that a volume holds. */
export function volumeFiles(contents: VolumeContents, placement: VolumePlacement): VolumeFiles {
  const { parsed, group } = placement;
  return {
    contents: new Map([
      [parsed.certificateFile, contents.certificatePem],
      [parsed.privateKeyFile, contents.privateKeyPem],
      [parsed.caFile, contents.trustBundlePem],
    ]),
    mode: parsed.fileMode ?? (group === undefined ? defaultMode : groupOwnedMode),
    group,
  };
}
