const STATX_ATTR_MOUNT_ROOT = 0x2000;
/** Where struct statx has its attributes, and which of them the kernel reports; only the low half of each word. */
const offsets = { attributes: 8, attributesMask: 56 } as const;

/** The length of a struct statx. */
export const statxSize = 256;

/** Whether a mount begins at the path of a struct statx, on a little-endian machine; undefined before Linux 5.8. */
export function readIsMountPoint(answer: Uint8Array<ArrayBuffer>): boolean | undefined {
  const view = new DataView(answer.buffer, answer.byteOffset);
  const hasBit = (at: number) => (view.getUint32(at, true) & STATX_ATTR_MOUNT_ROOT) !== 0;
  return hasBit(offsets.attributesMask) ? hasBit(offsets.attributes) : undefined;
}
