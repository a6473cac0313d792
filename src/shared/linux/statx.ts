/** Kind, mode, owners and size. */
const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID_UNIQUE = 0x4000;
const STATX_ATTR_MOUNT_ROOT = 0x2000;
/** The offsets in struct statx of the fields that are read; of the attributes, the low half of a word. */
const offsets = {
  mask: 0,
  attributes: 8,
  group: 24,
  mode: 28,
  size: 40,
  attributesMask: 56,
  deviceMajor: 136,
  deviceMinor: 140,
  mountId: 144,
} as const;

/** The mask of what statx(2) does not always return, and the length of its result. */
export const statxRequest = { mask: STATX_BASIC_STATS | STATX_MNT_ID_UNIQUE, size: 256 } as const;

/** A path as the kernel walks it, and the mount that it leads to. */
export interface PathMount {
  /** Whether that mount begins at the path; undefined before Linux 5.8. */
  readonly isMountPoint: boolean | undefined;
  /** The mount's own number, which no other mount has until the machine starts again; undefined before Linux 6.8. */
  readonly mountId: bigint | undefined;
  /** The file system's number, written as in mountinfo; no other file system has it while this one is mounted. */
  readonly device: string;
}

/** Reads a struct statx as a little-endian machine has it. */
export function readStatx(answer: Uint8Array<ArrayBuffer>): PathMount {
  const view = new DataView(answer.buffer, answer.byteOffset);
  const word = (at: number) => view.getUint32(at, true);
  const reportsMounts = (word(offsets.attributesMask) & STATX_ATTR_MOUNT_ROOT) !== 0;
  const isMountPoint = (word(offsets.attributes) & STATX_ATTR_MOUNT_ROOT) !== 0;
  const hasId = (word(offsets.mask) & STATX_MNT_ID_UNIQUE) !== 0;
  return {
    isMountPoint: reportsMounts ? isMountPoint : undefined,
    mountId: hasId ? view.getBigUint64(offsets.mountId, true) : undefined,
    device: `${word(offsets.deviceMajor)}:${word(offsets.deviceMinor)}`,
  };
}

/** What an entry of a directory is. */
export interface FileStatus {
  readonly isFile: boolean;
  /** The permission bits. */
  readonly mode: number;
  readonly group: number;
  /** In bytes. */
  readonly size: number;
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

/** Reads the same struct for an entry's kind and access. */
export function readFileStatus(answer: Uint8Array<ArrayBuffer>): FileStatus {
  const view = new DataView(answer.buffer, answer.byteOffset);
  const mode = view.getUint16(offsets.mode, true);
  return {
    isFile: (mode & S_IFMT) === S_IFREG,
    mode: mode & ~S_IFMT,
    group: view.getUint32(offsets.group, true),
    size: Number(view.getBigUint64(offsets.size, true)),
  };
}
