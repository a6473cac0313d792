import { dirname } from "node:path";
import type { Disk } from "../../shared/linux/disk.ts";
import type { KubeletVolumes } from "../volume/mounter.ts";

/** The kubelet keeps `vol_data.json` beside a target from before its first call until it tore the volume down. */
export function kubeletVolumeData(disk: Disk): KubeletVolumes {
  return {
    hasVolume: async (targetPath) => {
      const entry = await disk.entryAt(`${dirname(targetPath)}/vol_data.json`);
      return entry !== undefined && !entry.isDirectory && !entry.isSymlink;
    },
  };
}
