const root = "/sys/fs/cgroup";

/** Makes a cgroup of this name in every hierarchy, fit for a kubelet to work below. */
export async function makeCgroups(name: string): Promise<void> {
  if (await exists(`${root}/cgroup.controllers`)) {
    for (const controller of ["cpu", "cpuset", "memory", "pids", "io"]) {
      await write(`${root}/cgroup.subtree_control`, `+${controller}`);
    }
    await Deno.mkdir(`${root}/${name}`);
    return;
  }
  for (const hierarchy of await hierarchies()) {
    await Deno.mkdir(`${hierarchy}/${name}`, { recursive: true });
    // Empty in a new cgroup of version 1, and nothing runs where they are empty.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const value = await Deno.readTextFile(`${hierarchy}/${file}`).catch(() => undefined);
      if (value !== undefined) await write(`${hierarchy}/${name}/${file}`, value);
    }
  }
}

/** Removes the cgroups of this name and all below them; what runs in them has to have ended. */
export async function removeCgroups(name: string): Promise<void> {
  const places = await exists(`${root}/cgroup.controllers`) ? [root] : await hierarchies();
  for (const place of places) await removeTree(`${place}/${name}`);
}

/** The names of all cgroups below the roots, each once. */
export async function listCgroups(): Promise<string[]> {
  const places = await exists(`${root}/cgroup.controllers`) ? [root] : await hierarchies();
  const names = new Set<string>();
  for (const place of places) {
    for await (const { name, isDirectory } of Deno.readDir(place)) {
      if (isDirectory) names.add(name);
    }
  }
  return [...names];
}

async function hierarchies(): Promise<string[]> {
  const found = [];
  for await (const { name, isDirectory } of Deno.readDir(root)) {
    if (isDirectory && await exists(`${root}/${name}/cgroup.procs`)) found.push(`${root}/${name}`);
  }
  return found;
}

/** Removes a cgroup's directory, and retries while a process in it is still ending. */
async function removeTree(path: string): Promise<void> {
  if (!await exists(path)) return;
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) await removeTree(`${path}/${name}`);
  }
  for (let attempt = 1;; attempt++) {
    const { success, stderr } = await new Deno.Command("rmdir", { args: [path] }).output();
    if (success) return;
    if (attempt === 50) throw new Error(new TextDecoder().decode(stderr).trim());
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function write(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text, { create: false }).catch(() => {});
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
