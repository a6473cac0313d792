/** One line of /proc/self/mountinfo, as far as it is used (proc_pid_mountinfo(5)). */
export interface MountinfoEntry {
  readonly id: number;
  readonly parentId: number;
  /** The number of the file system: `0:45`. */
  readonly device: string;
  readonly mountPoint: string;
  /** The flags of this mount, not of the file system: `ro`, `nosuid`, … */
  readonly options: readonly string[];
  /** Whether what is mounted below it appears in the other mounts of its peer group, in other mount namespaces too. */
  readonly isShared: boolean;
  readonly fileSystem: string;
  readonly source: string;
  /** The options of the file system: `size=1024k`, `seclabel`, … */
  readonly superOptions: readonly string[];
}

/** All mounts that the text names; a line of another form is skipped. */
export function parseMountinfo(text: string): MountinfoEntry[] {
  return text.split("\n").map(parseLine).filter((mount) => mount !== undefined);
}

function parseLine(line: string): MountinfoEntry | undefined {
  const fields = line.split(" ");
  // Any number of optional fields precede the dash.
  const dash = fields.indexOf("-", 6);
  const [id, parentId, device = "", , mountPoint, options] = fields;
  const [fileSystem, source, superOptions = ""] = dash < 0 ? [] : fields.slice(dash + 1);
  if (mountPoint === undefined || options === undefined || source === undefined) return undefined;
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    mountPoint: unescape(mountPoint),
    options: options.split(","),
    isShared: fields.slice(6, dash).some((field) => field.startsWith("shared:")),
    fileSystem: unescape(fileSystem ?? ""),
    source: unescape(source),
    superOptions: superOptions.split(","),
  };
}

/** The kernel writes blanks, line ends, backslashes and hashes as three octal digits. */
function unescape(field: string): string {
  if (!field.includes("\\")) return field;
  return field.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}

/** The mount that is visible at this very path, or undefined when none begins there. */
export function mountAt(
  mounts: readonly MountinfoEntry[],
  path: string,
): MountinfoEntry | undefined {
  const mount = mountOf(mounts, path);
  return mount?.mountPoint === path ? mount : undefined;
}

/**
 * The mount that a path leads to.
 *
 * Walks the path as the kernel does: a mount is hidden by one stacked on it, and by one that was put over a directory
 * above it.
 */
export function mountOf(
  mounts: readonly MountinfoEntry[],
  path: string,
): MountinfoEntry | undefined {
  const ids = new Set(mounts.map((mount) => mount.id));
  const covering = mounts.filter((mount) => covers(mount.mountPoint, path));
  let current = topmost(covering.filter((m) => !ids.has(m.parentId) || m.parentId === m.id));
  for (let steps = 0; current !== undefined && steps < covering.length; steps += 1) {
    const { id } = current;
    const next = topmost(covering.filter((mount) => mount.parentId === id && mount.id !== id));
    if (next === undefined) break;
    current = next;
  }
  return current;
}

/** Of the mounts on one parent, the first that a walk along the path meets; of equals, the last. */
function topmost(siblings: readonly MountinfoEntry[]): MountinfoEntry | undefined {
  return siblings.reduce<MountinfoEntry | undefined>(
    (best, mount) =>
      best === undefined || mount.mountPoint.length <= best.mountPoint.length ? mount : best,
    undefined,
  );
}

function covers(mountPoint: string, path: string): boolean {
  return mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`);
}
