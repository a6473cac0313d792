/** The files of one volume, which appear and change together. */
export interface VolumeFiles {
  readonly contents: ReadonlyMap<string, string>;
  /** Permission bits of each file. */
  readonly mode: number;
  readonly group: number | undefined;
}

/** What is at a target path: nothing of ours, our volume, or another program's mount or file. */
export type TargetState = "absent" | "ours" | "foreign";

/**
 * Puts files where a pod sees them, read-only from the pod's side.
 *
 * The kubelet's disk may not answer a call for any time, and then the call waits for it. What is done in memory, to mount
 * and to write a mounted volume, is synchronous within: errno belongs to the calling thread, and a file in memory is
 * written in a tenth of the time that a call on another thread takes.
 */
export interface Mounter {
  /** `tmpfs`: a file system of its own for each volume; `plain`: a directory, where mounting is not permitted. */
  readonly kind: "tmpfs" | "plain";
  state(targetPath: string): Promise<TargetState>;
  /** Why no volume can be published at a target where there is none; undefined when one can. */
  rejectionReason(targetPath: string): Promise<string | undefined>;
  /** Makes the files appear at a target, all of them or none; rejects with the signal's reason if it is aborted before. */
  publish(targetPath: string, files: VolumeFiles, signal: AbortSignal): Promise<void>;
  /** Swaps the files of a published volume, all of them at one instant. */
  replace(targetPath: string, files: VolumeFiles): Promise<void>;
  /** The files' texts, all of the same swap; undefined for each that is missing. */
  read(targetPath: string, names: readonly string[]): Promise<(string | undefined)[]>;
  /** Removes a volume and its target directory; missing pieces are fine. */
  unpublish(targetPath: string): Promise<void>;
  /** Every target at which a volume of this driver is mounted, also by a driver that was killed. */
  mounted(): string[];
}

/** The kubelet's own record of its volumes on the node. */
export interface KubeletVolumes {
  /** Whether the kubelet still has the volume of a target: its record is beside the target. */
  hasVolume(targetPath: string): Promise<boolean>;
}
