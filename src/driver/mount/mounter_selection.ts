import type { Mounter } from "../volume/mounter.ts";
import { SystemCallError } from "../../shared/linux/errno.ts";
import type { Disk } from "../../shared/linux/disk.ts";
import { type Libc, openLibc } from "../../shared/linux/libc.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { TmpfsMounter } from "./tmpfs_mounter.ts";
import { MountTable } from "./mount_table.ts";
import { PlainDirectoryMounter } from "./plain_directory_mounter.ts";
import type { SelinuxContext } from "./selinux_context.ts";
import { StagingArea } from "./staging_area.ts";

/** The kernel's answers where mounting is not permitted, as opposed to a fault. */
const notPermitted: ReadonlySet<string> = new Set(["EPERM", "EACCES", "ENOSYS", "ENODEV"]);

/** The mounter of this program; `swapProblem` says why a key may be written to swap space. */
export type SelectedMounter = Mounter & Disposable & { readonly swapProblem: string | undefined };

export interface MounterOptions {
  /** The disk of the targets. */
  readonly disk: Disk;
  /** A directory of the driver's own, under CERT_BASE_PATH. */
  readonly stagingDir: string;
  /** ALLOW_KEYS_ON_DISK: whether a plain directory may be on a disk. */
  readonly allowKeysOnDisk: boolean;
  /** SELINUX_CONTEXT: used where SELinux is enabled; undefined when it is off. */
  readonly selinuxContext?: SelinuxContext | undefined;
  readonly onWarning: (message: string) => void;
  /** Opens the C library; tests that inject faults replace it. */
  readonly openLibc?: () => Libc;
}

/** Determines whether this program may mount, removes the mounts of a killed one, and returns the suitable mounter. */
export async function selectMounter(
  options: MounterOptions,
): Promise<SelectedMounter> {
  const { disk, allowKeysOnDisk, onWarning } = options;
  await Deno.mkdir(options.stagingDir, { recursive: true, mode: 0o700 });
  const directory = await Deno.realPath(options.stagingDir);
  using scope = new DisposableStack();
  const libc = (options.openLibc ?? openLibc)();
  const mounts = scope.use(new MountTable(libc));
  try {
    const staging = scope.use(new StagingArea(libc, mounts, directory));
    staging.clean();
    probeMounting(staging);
    if (staging.swapProblem !== undefined) onWarning(staging.swapProblem);
    chooseSelinuxContext(staging, options);
    scope.move();
    return new TmpfsMounter({ disk, libc, mounts, staging });
  } catch (error) {
    if (!isNotPermitted(error)) throw error;
    onWarning(fallbackWarning(error));
    scope.move();
    return new PlainDirectoryMounter({ disk, libc, mounts, allowKeysOnDisk, onWarning });
  }
}

/** Does once what publishing does, short of the target. */
function probeMounting(staging: StagingArea): void {
  using directory = staging.createDirectory();
  directory.mountTmpfs();
  directory.makeReadOnly();
}

/**
 * Without a context the container runtime labels the files of a volume itself. It cannot do so on a read-only mount,
 * and the container does not start.
 */
function chooseSelinuxContext(staging: StagingArea, options: MounterOptions): void {
  const { selinuxContext, onWarning } = options;
  if (selinuxContext === undefined || !staging.hasSelinuxLabels()) return;
  const { context, isRequired } = selinuxContext;
  staging.setSelinuxContext(context);
  try {
    probeMounting(staging);
  } catch (error) {
    const problem = `cannot mount with the SELinux context ${context}: ${errorMessage(error)}; `;
    const fix = "set SELINUX_CONTEXT to a context that this node's policy allows, or to off";
    if (isRequired) throw new Error(problem + fix, { cause: error });
    staging.setSelinuxContext(undefined);
    onWarning(`${problem}volumes have none, and pods need readOnly: true on the volume; ${fix}`);
  }
}

function isNotPermitted(error: unknown): boolean {
  return error instanceof SystemCallError && notPermitted.has(error.code);
}

function fallbackWarning(error: unknown): string {
  return `mounting is not possible here (${
    errorMessage(error)
  }): volumes become plain directories, which a ` +
    `pod's root can write to, with private keys on the target's own file system; run the ` +
    `driver privileged to have a read-only tmpfs for each volume`;
}
