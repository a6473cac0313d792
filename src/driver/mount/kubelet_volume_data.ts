import { dirname } from "node:path";
import type { KubeletVolumes } from "../volume/mounter.ts";
import { entryKind } from "./target_directory.ts";

/** The kubelet keeps `vol_data.json` beside a target from before its first call until it tore the volume down. */
export const kubeletVolumeData: KubeletVolumes = {
  hasVolume: (targetPath) => entryKind(`${dirname(targetPath)}/vol_data.json`) === "other",
};
