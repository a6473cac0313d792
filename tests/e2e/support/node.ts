/** The state of the node itself; the tests run in its namespaces. */

/** Mount points of this driver's volumes. */
export async function volumeMounts(): Promise<string[]> {
  const text = await Deno.readTextFile("/proc/self/mountinfo");
  return text.split("\n").flatMap((line) => line.split(" ")[4] ?? [])
    .filter((path) => path.includes("/volumes/kubernetes.io~csi/"));
}

/** The driver's records, one a volume. */
export async function records(): Promise<string[]> {
  return (await list("/var/lib/csi-certs")).filter((name) => !name.startsWith("."));
}

/** The uids of pods that the kubelet keeps a directory for and that had a volume of ours. */
export async function volumeDirectories(): Promise<string[]> {
  const found = [];
  for (const uid of await list("/var/lib/kubelet/pods")) {
    const volumes = `/var/lib/kubelet/pods/${uid}/volumes/kubernetes.io~csi`;
    if ((await list(volumes)).length > 0) found.push(uid);
  }
  return found;
}

/** The processes of a program on the node, by a part of their command lines. */
export async function processes(text: string): Promise<number[]> {
  const found = [];
  for (const id of (await list("/proc")).filter((name) => /^[0-9]+$/.test(name))) {
    const line = await Deno.readTextFile(`/proc/${id}/cmdline`).catch(() => "");
    if (line.replaceAll("\0", " ").includes(text) && Number(id) !== Deno.pid) {
      found.push(Number(id));
    }
  }
  return found;
}

/** Runs a command on the node; throws with its output. */
export async function onNode(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

async function list(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
