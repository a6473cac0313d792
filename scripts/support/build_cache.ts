// What tasks build from source once and keep in the user's cache.

/** The folder that contains what was built. */
export function cacheFolder(): string {
  const home = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") || "/root"}/.cache`;
  return `${home}/csi-cert-driver`;
}

/** Has the folder filled under another name first, so that it is never incomplete; returns what went wrong. */
export async function fillOnce(
  folder: string,
  fill: (incomplete: string) => Promise<string | undefined>,
): Promise<string | undefined> {
  if (pathExists(folder)) return undefined;
  const incomplete = `${folder}.building`;
  await Deno.mkdir(incomplete, { recursive: true });
  const problem = await fill(incomplete);
  if (problem === undefined) await Deno.rename(incomplete, folder);
  return problem;
}

/** The path of the Go command. */
export function findGo(): string | undefined {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/local/go/bin"];
  return folders.map((folder) => `${folder}/go`).find(pathExists);
}

/** The Debian packages of the paths that do not exist, and how to install them. */
export function missingPackages(required: Readonly<Record<string, string>>): string | undefined {
  const absent = Object.entries(required).filter(([path]) => !pathExists(path));
  if (absent.length === 0) return undefined;
  const packages = [...new Set(absent.map(([, name]) => name))].join(" ");
  return `not installed: ${packages} (apt-get install -y ${packages})`;
}

export function pathExists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
