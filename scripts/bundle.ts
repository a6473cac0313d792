// Writes dist/csi-driver.js and dist/cert-service.js: each program in one minified file.

import { dirname } from "node:path";
import { entryOf, type ProgramName } from "./permissions.ts";

/**
 * Not `deno bundle --minify`: the esbuild that Deno 2.9.6 has for it (0.25.5) inlines what
 * `using` declares where it is used once, and what was to be released never is (esbuild issue
 * 4482, mended in 0.28). Without the lock file: it is a tool, no part of what is built.
 */
const minify = ["run", "--quiet", "--no-lock", "--allow-all", "npm:esbuild@0.28.2"]
  // Names and blanks only: no statement is rewritten, at 6 % more octets.
  .concat("--minify-whitespace", "--minify-identifiers", "--format=esm", "--target=esnext");

/** Bundles what a file leads to into one minified file; returns its size in octets. */
export async function bundle(entry: string, output: string): Promise<number> {
  const whole = await deno(["bundle", "--quiet", "--platform", "deno", entry]);
  const small = await deno([...minify, "--loader=js"], whole);
  await Deno.mkdir(dirname(output), { recursive: true });
  // Renamed into place, so that nobody runs half a file.
  const unfinished = `${output}.${crypto.randomUUID()}`;
  await Deno.writeFile(unfinished, small);
  await Deno.rename(unfinished, output);
  return small.length;
}

/** What a command of deno's writes to its standard output, given that input. */
async function deno(args: string[], input = new Uint8Array()): Promise<Uint8Array<ArrayBuffer>> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: new URL("../", import.meta.url),
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // It may end without having read its input: its own words tell more than the broken pipe does.
  const written = new Response(input).body!.pipeTo(child.stdin).catch(() => {});
  const [{ success, stdout, stderr }] = await Promise.all([child.output(), written]);
  if (success) return stdout;
  const words = new TextDecoder().decode(stderr);
  throw new Error(
    `"deno ${args.join(" ")}" failed; esbuild comes from the npm registry:\n${words}`,
  );
}

/** Bundles a program to where its bundle is run from; says so, with the size. */
export async function bundleProgram(name: ProgramName): Promise<void> {
  const size = await bundle(entryOf(name, "source"), entryOf(name, "bundle"));
  console.log(`bundle: dist/${name}.js ${(size / 1024).toFixed(0)} KiB`);
}

export async function bundleAll(): Promise<void> {
  for (const name of ["csi-driver", "cert-service"] as const) await bundleProgram(name);
}

if (import.meta.main) await bundleAll();
