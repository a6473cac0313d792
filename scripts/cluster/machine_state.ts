const sysctls = [
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
  "net/ipv4/ip_forward",
];
/** What every folder and cgroup of a cluster begins with. */
export const clusterPrefix = "csi-cert-e2e-";

/** What a cluster could leave behind on the machine that it ran on. */
export interface MachineState {
  /** What another, later state has that this one has not, or has otherwise; a sentence each. */
  differences(later: MachineState): string[];
  readonly facts: ReadonlySet<string>;
}

/** Looks at mounts, cgroups, sysctls, network interfaces and the processes of a node. */
export async function machineState(): Promise<MachineState> {
  const facts = new Set([
    ...await mounts(),
    ...await cgroups(),
    ...await Promise.all(sysctls.map(sysctl)),
    ...(await list("/sys/class/net")).map((name) => `network interface ${name}`),
    ...await processes(),
  ]);
  return {
    facts,
    differences: (later) => [...later.facts].filter((fact) => !facts.has(fact)),
  };
}

async function mounts(): Promise<string[]> {
  const text = await Deno.readTextFile("/proc/self/mountinfo");
  return text.trim().split("\n").map((line) => `mount at ${line.split(" ")[4]}`)
    // Other programs may mount meanwhile; a cluster's mounts are below these paths.
    .filter((fact) => /^mount at \/(run|var)\//.test(fact) || fact.includes(clusterPrefix));
}

async function cgroups(): Promise<string[]> {
  const hierarchies = ["", ...(await list("/sys/fs/cgroup")).map((name) => `/${name}`)];
  const found = await Promise.all(
    hierarchies.map(async (hierarchy) =>
      (await list(`/sys/fs/cgroup${hierarchy}`)).filter((name) => name.startsWith(clusterPrefix))
        .map((name) => `cgroup ${hierarchy}/${name}`)
    ),
  );
  return found.flat();
}

async function sysctl(name: string): Promise<string> {
  const value = await Deno.readTextFile(`/proc/sys/${name}`).catch(() => "absent");
  return `sysctl ${name} is ${value.trim()}`;
}

/** Of a cluster, by the folder in their command lines; not we ourselves. */
async function processes(): Promise<string[]> {
  const ids = (await list("/proc")).filter((name) => /^[0-9]+$/.test(name));
  const lines = await Promise.all(
    ids.map((id) => Deno.readTextFile(`/proc/${id}/cmdline`).catch(() => "")),
  );
  return lines.flatMap((line, index) =>
    line.includes(clusterPrefix)
      ? [`process ${ids[index]} ${line.replaceAll("\0", " ").slice(0, 80)}`]
      : []
  );
}

async function list(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch {
    return [];
  }
}
