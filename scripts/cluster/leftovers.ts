import { listCgroups, removeCgroups } from "./cgroup.ts";
import { clusterPrefix } from "./machine_state.ts";

/**
 * Removes the cgroups and folders of runs that were killed before they could. Their names contain
 * the id of the process that made them; those of a running process are kept.
 */
export async function removeLeftovers(): Promise<void> {
  for (const name of await listCgroups()) {
    if (isLeft(name)) await removeCgroups(name);
  }
  const temporary = Deno.env.get("TMPDIR") || "/tmp";
  for await (const { name } of Deno.readDir(temporary)) {
    if (isLeft(name)) await Deno.remove(`${temporary}/${name}`, { recursive: true });
  }
}

function isLeft(name: string): boolean {
  const [, id] = new RegExp(`^${clusterPrefix}([0-9]+)(-|$)`).exec(name) ?? [];
  if (id === undefined) return false;
  try {
    Deno.statSync(`/proc/${id}`);
    return false;
  } catch {
    return true;
  }
}
