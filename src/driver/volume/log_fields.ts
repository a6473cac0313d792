import type { VolumeRecord } from "./volume_record.ts";

/** The properties that every line about a volume carries. */
export function volumeLogFields(record: VolumeRecord) {
  const { volumeId, serialNumber, notAfter, pod } = record;
  return {
    namespace: pod.namespace,
    pod: pod.name,
    podUid: pod.uid,
    volumeId,
    serialNumber,
    notAfter: notAfter.toString(),
  };
}
