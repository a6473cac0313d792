import { createHash } from "node:crypto";
import type { VolumeRecord } from "../volume/volume_record.ts";

/** NAME_MAX of Linux's file systems, in bytes. */
const maxBytes = 255;
const hashLength = 12;

/** One path component, and not a hidden one: hidden names are the driver's own. */
const plainName = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/**
 * The directory of a volume's record: `NAMESPACE-POD-VOLUMEID`.
 *
 * A name that is too long, or that contains what Kubernetes allows in none of the three, is shortened in the pod's name
 * and cleaned, and ends in a hash of the whole.
 */
export function recordDirectoryName({ pod, volumeId }: Pick<VolumeRecord, "volumeId" | "pod">) {
  const name = [pod.namespace, pod.name, volumeId].join("-");
  if (plainName.test(name) && name.length <= maxBytes) return name;
  const hash = hashOf([pod.namespace, pod.name, volumeId]);
  const rest = clean(`-${volumeId}-${hash}`);
  const startBytes = maxBytes - rest.length;
  const start = clean(`${pod.namespace}-${pod.name}`);
  // A volume id that is too long beside a pod's name is cut as well; the hash keeps the name unique.
  return startBytes > 0
    ? start.slice(0, startBytes).replace(/^[^A-Za-z0-9_]/, "_") + rest
    : `_${rest.slice(0, maxBytes - hashLength - 2)}-${hash}`;
}

function clean(text: string): string {
  return text.replace(/[^A-Za-z0-9._-]/g, "_");
}

/** Of JSON, which keeps the three apart whatever they contain. */
function hashOf(parts: string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, hashLength);
}
