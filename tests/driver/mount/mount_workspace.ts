import { dirname, join } from "node:path";
import {
  type SelectedMounter,
  selectMounter,
} from "../../../src/driver/mount/mounter_selection.ts";
import { Disk } from "../../../src/shared/linux/disk.ts";
import type { Directory } from "../../../src/shared/linux/directory.ts";
import { SystemCallError } from "../../../src/shared/linux/errno.ts";
import { type Libc, type MountRequest, openLibc } from "../../../src/shared/linux/libc.ts";
import { mountAt, type MountinfoEntry } from "../../../src/driver/mount/mountinfo.ts";
import type { SelinuxContext } from "../../../src/driver/mount/selinux_context.ts";
import { MountTable } from "../../../src/driver/mount/mount_table.ts";
import type { PathMount } from "../../../src/shared/linux/statx.ts";
import { mountinfoPath } from "../../../src/shared/linux/proc_files.ts";
import type { VolumeFiles } from "../../../src/driver/volume/mounter.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { type Requirement, requiringTest } from "../../support/requirement.ts";
import { shareMounts } from "../../../scripts/support/shared_mount.ts";

/** Whether root here is the machine's: in a user namespace other users do not exist, nor does noswap. */
export const isMachineRoot = Deno.uid() === 0 &&
  /^\s*0\s+0\s+4294967295\s*$/.test(Deno.readTextFileSync("/proc/self/uid_map"));

const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);

export const mounting: Requirement = { isMet: canMount, reason: "this process may not mount" };

/** In a user namespace noswap is refused, as by an old kernel. */
export const noswap: Requirement = {
  isMet: isMachineRoot && (major > 6 || (major === 6 && minor >= 4)),
  reason: "noswap needs Linux 6.4 and the machine's root",
};

/** What statx(2) returns to the mounters of this process; a test file replaces it to imitate an older kernel. */
export const kernel = { statxResult: (place: PathMount | undefined) => place };

/** The C library, with calls that can be made to fail and hooks that run before and after them. */
export class FaultyLibc implements Libc {
  readonly #libc = openLibc();
  /** Number of the mount(2) call that fails, counted from the next one; with 0 every call fails. */
  callsToFault = Infinity;
  code = "EIO";
  nextUnmountFails = false;
  /** The text of /proc/swaps; no swap space unless a test changes it. */
  swaps = "Filename\tType\tSize\tUsed\tPriority\n";
  beforeMount: (request: MountRequest) => void = () => {};
  afterMount: (request: MountRequest) => void = () => {};
  wrapTable: (read: () => string) => string = (read) => read();
  /** How often the mount table was read. */
  tableReads = 0;

  mount(request: MountRequest): void {
    this.beforeMount(request);
    if (this.callsToFault === 0) throw new SystemCallError(`mount ${request.target}`, this.code);
    this.callsToFault -= 1;
    if (this.callsToFault === 0) {
      this.callsToFault = Infinity;
      throw new SystemCallError(`mount ${request.target}`, this.code);
    }
    this.#libc.mount(request);
    this.afterMount(request);
  }

  unmount(path: string, options?: { detach: boolean }): void {
    if (this.nextUnmountFails) {
      this.nextUnmountFails = false;
      throw new SystemCallError(`unmount ${path}`, this.code);
    }
    this.#libc.unmount(path, options);
  }

  readText(path: string): string {
    if (path === "/proc/swaps") return this.swaps;
    if (path !== mountinfoPath) return this.#libc.readText(path);
    this.tableReads += 1;
    return this.wrapTable(() => this.#libc.readText(path));
  }

  openDirectory(path: string): Directory {
    return this.#libc.openDirectory(path);
  }

  statx(path: string): PathMount | undefined {
    return kernel.statxResult(this.#libc.statx(path));
  }

  setResourceLimit(resource: number, value: number): void {
    this.#libc.setResourceLimit(resource, value);
  }

  setDumpable(dumpable: boolean): void {
    this.#libc.setDumpable(dumpable);
  }

  ignoreSignal(signal: number): void {
    this.#libc.ignoreSignal(signal);
  }

  timeSinceBootMs(): number {
    return this.#libc.timeSinceBootMs();
  }

  [Symbol.dispose](): void {
    this.#libc[Symbol.dispose]();
  }
}

/** A directory of the test's own; disposing it unmounts and removes everything below it. */
export class Workspace implements AsyncDisposable {
  readonly root = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "csi-linux-" }));
  readonly libc = openLibc();
  readonly warnings: string[] = [];
  readonly #sharing = shareMounts(this.root);
  readonly stagingDir = join(this.root, "base", ".staging");
  readonly target = join(this.root, "pods", "uid", "volumes", "csi", "certs", "mount");

  constructor() {
    this.makeParent(this.target);
  }

  /** Makes the directory above a target, as the kubelet does before it calls; returns the target. */
  makeParent(target: string): string {
    Deno.mkdirSync(dirname(target), { recursive: true, mode: 0o750 });
    return target;
  }

  /** The mounts below the root, hidden ones included, but for the staging area that each mounter has. */
  mounts(): MountinfoEntry[] {
    return this.#allMounts().filter(({ mountPoint }) => mountPoint !== this.stagingDir);
  }

  #allMounts(): MountinfoEntry[] {
    return new MountTable(this.libc).all().filter((mount) =>
      mount.mountPoint.startsWith(`${this.root}/`)
    );
  }

  mountAt(path: string): MountinfoEntry | undefined {
    return mountAt(new MountTable(this.libc).all(), path);
  }

  /** Mounts a tmpfs as another program would. */
  mountForeign(path: string): void {
    Deno.mkdirSync(path, { recursive: true });
    this.libc.mount({ source: "foreign", target: path, fileSystem: "tmpfs", flags: 0 });
  }

  /** Everything there is: paths of entries, and of mounts. */
  async listing(): Promise<string[]> {
    const entries = await Array.fromAsync(walk(this.root));
    return [...entries, ...this.mounts().map((mount) => `mount ${mount.mountPoint}`)].sort();
  }

  async createMounter(
    options: { libc?: Libc; selinuxContext?: SelinuxContext | undefined } = {},
  ): Promise<SelectedMounter> {
    return await selectMounter({
      disk: new Disk(),
      stagingDir: this.stagingDir,
      allowKeysOnDisk: false,
      selinuxContext: options.selinuxContext,
      onWarning: (message) => this.warnings.push(message),
      openLibc: () => options.libc ?? new FaultyLibc(),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const mount of this.#allMounts().reverse()) {
      this.libc.unmount(mount.mountPoint, { detach: true });
    }
    this.#sharing[Symbol.dispose]();
    this.libc[Symbol.dispose]();
    await Deno.remove(this.root, { recursive: true });
  }
}

async function* walk(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    yield path;
    if (entry.isDirectory) yield* walk(path);
  }
}

/** What a test of the mounter works with; the library is the one that the mounter uses. */
interface MountTestParts {
  readonly workspace: Workspace;
  readonly libc: FaultyLibc;
  readonly mounter: SelectedMounter;
  readonly target: string;
}

/** A test with a mounter in a workspace of its own; ignored where this process may not mount. */
export function mountTest(
  name: string,
  test: (parts: MountTestParts) => Promise<void> | void,
  requirement = mounting,
): void {
  requiringTest(name, canMount ? requirement : mounting, async () => {
    await using workspace = new Workspace();
    const libc = new FaultyLibc();
    using mounter = await workspace.createMounter({ libc });
    await test({ workspace, libc, mounter, target: workspace.target });
  });
}

/** The signal of a call that does not end before its volume is published. */
export const never = new AbortController().signal;

/** A pair whose two files belong together if they contain the same number. */
export function pair(number: number, options: Partial<VolumeFiles> = {}): VolumeFiles {
  const contents = new Map([
    ["tls.crt", `pair ${number}`],
    ["tls.key", `pair ${number}`],
  ]);
  return { contents, mode: 0o644, group: undefined, ...options };
}

/** Runs a command to its end and returns its output; throws with its stderr when it fails. */
export async function run(command: string, args: string[], cwd?: string): Promise<string> {
  const options = { args, stdin: "null", ...(cwd === undefined ? {} : { cwd }) } as const;
  const { success, stdout, stderr } = await new Deno.Command(command, options).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
