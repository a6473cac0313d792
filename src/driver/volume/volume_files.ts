import type { Mounter, VolumeFiles } from "./mounter.ts";
import type { Volume } from "./volume_record.ts";

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

/** The files that a volume contains. */
export function volumeFiles(
  { parsed, group }: Pick<Volume, "parsed" | "group">,
  contents: VolumeContents,
): VolumeFiles {
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

/** The texts of a mounted volume; one is empty when its file is missing, and all are when no volume is mounted. */
export async function readContents(
  mounter: Mounter,
  { targetPath, parsed }: Pick<Volume, "targetPath" | "parsed">,
): Promise<VolumeContents> {
  const names = [parsed.certificateFile, parsed.privateKeyFile, parsed.caFile];
  const [certificatePem = "", privateKeyPem = "", trustBundlePem = ""] = await mounter.read(
    targetPath,
    names,
  );
  return { certificatePem, privateKeyPem, trustBundlePem };
}
