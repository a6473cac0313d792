import { yieldToEventLoop } from "../../shared/scheduler/event_loop_yield.ts";
import { readCertificates } from "../../shared/x509/certificate.ts";
import type { Mounter } from "./mounter.ts";
import { readContents } from "./volume_files.ts";
import type { VolumeRecord } from "./volume_record.ts";

/** The records whose volumes can be read, each with the leaf (DER) that its volume contains. */
export async function readMountedCertificates(
  records: readonly VolumeRecord[],
  mounter: Mounter,
): Promise<(VolumeRecord & { readonly certificate: Uint8Array })[]> {
  const mounted = [];
  for (const record of records) {
    // The sweep reports a volume that cannot be read; it does not keep the others from the service.
    const contents = await readContents(mounter, record).catch(() => undefined);
    const leaf = readCertificates(contents?.certificatePem ?? "")?.[0];
    if (leaf) mounted.push({ ...record, certificate: leaf.der });
    // A node full of pods answers its kubelet meanwhile.
    await yieldToEventLoop();
  }
  return mounted;
}
