import type { VolumeStore } from "../../src/driver/volume/volume_record.ts";

/** Keeps no record: nothing is restored after a restart. */
export const memoryStore: VolumeStore = {
  save: () => Promise.resolve(),
  load: () => Promise.resolve({ records: [], unreadable: [] }),
  remove: () => Promise.resolve(),
  removeUnreadable: () => Promise.resolve(true),
};
