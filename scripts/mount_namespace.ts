/** A way to run a command where it may mount and where its mounts end with it. */
export interface MountNamespace {
  readonly command: string;
  /** The command's own arguments; the program to run and its arguments follow. */
  readonly args: readonly string[];
  readonly description: string;
}

const ways: readonly MountNamespace[] = [
  {
    command: "unshare",
    args: ["--mount", "--propagation", "private"],
    description: "unshare --mount",
  },
  {
    command: "unshare",
    args: ["--user", "--map-root-user", "--mount", "--propagation", "private"],
    description: "unshare --user --mount: root only inside it",
  },
];

/** The first way in which a tmpfs can really be mounted here; undefined when there is none. */
export async function privateNamespace(): Promise<MountNamespace | undefined> {
  const directory = await Deno.makeTempDir({ prefix: "mount-probe-" });
  try {
    for (const way of ways) {
      const probe = ["mount", "-t", "tmpfs", "probe", directory];
      if (await succeeds(way.command, [...way.args, ...probe])) return way;
    }
    return undefined;
  } finally {
    await Deno.remove(directory);
  }
}

async function succeeds(command: string, args: string[]): Promise<boolean> {
  try {
    const output = new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output();
    return (await output).success;
  } catch {
    return false;
  }
}
