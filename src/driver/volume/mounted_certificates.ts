import { type Certificate, readCertificates } from "../../shared/x509/certificate.ts";
import { yieldToEventLoop } from "../../shared/scheduler/event_loop_yield.ts";
import type { Mounter } from "./mounter.ts";
import type { VolumeRecord } from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";
import { placementOf } from "./volume_files.ts";

/** The leaf that each mounted volume holds. */
export async function readMountedCertificates(
  table: VolumeTable,
  mounter: Mounter,
): Promise<{ leaf: Certificate; record: VolumeRecord }[]> {
  const held = [];
  for (const record of table.all()) {
    const placement = placementOf(record);
    const text = placement &&
      await mounter.read(record.targetPath, placement.parsed.certificateFile);
    const leaf = text && readCertificates(text)?.[0];
    if (leaf) held.push({ leaf, record });
    // A node full of pods answers its kubelet meanwhile.
    await yieldToEventLoop();
  }
  return held;
}
