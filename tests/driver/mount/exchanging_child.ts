/**
 * What a pod's root can do in a plain directory: puts links to a directory of the host in the place of each directory
 * and file that the driver makes there, as often as it can, until the file `stop` exists. Prints how often it did.
 */
import { join } from "node:path";

const [volume = "", host = "", stop = ""] = Deno.args;
const generation = /^\.\.[0-9a-f]{16}$/;
let exchanges = 0;

function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // The driver was faster.
  }
}

function names(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Moves an entry away, puts a link to the host's in its place, and puts the entry back. */
function exchange(path: string, target: string): void {
  const aside = join(volume, "aside");
  attempt(() => {
    Deno.renameSync(path, aside);
    Deno.symlinkSync(target, path);
    exchanges++;
  });
  attempt(() => Deno.removeSync(path));
  attempt(() => Deno.renameSync(aside, path));
  attempt(() => Deno.removeSync(aside, { recursive: true }));
}

console.log("started");
for (let round = 0; round % 100 !== 0 || !names(stop).length; round++) {
  for (const name of names(volume)) {
    if (!generation.test(name)) continue;
    if (round % 2 === 0) exchange(join(volume, name), host);
    else {for (const file of ["tls.crt", "tls.key"]) {
        exchange(join(volume, name, file), join(host, file));
      }}
  }
}
console.log(exchanges);
