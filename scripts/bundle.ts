// Writes dist/csi-driver.js and dist/cert-service.js: each program in one minified file.

import { stop, transform } from "esbuild";
import { entryOf, type ProgramName } from "./permissions.ts";

/** Bundles one program; returns the size of the file in octets. */
export async function bundle(name: ProgramName): Promise<number> {
  const output = entryOf(name, "bundle");
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno"]
      .concat("--output", output, entryOf(name, "source")),
    cwd: new URL("../", import.meta.url),
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  if (!success) {
    const words = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    throw new Error(
      `deno bundle failed on ${name}; it needs the npm registry once, for esbuild:\n${words}`,
    );
  }
  await Deno.writeTextFile(output, await minify(await Deno.readTextFile(output)));
  return (await Deno.stat(output)).size;
}

/**
 * Shorter names and no blanks, but the same statements.
 *
 * `deno bundle --minify` rewrites statements too, and its esbuild (0.25) then inlines a variable
 * that is used once even if `using` declares it: what it holds is never disposed.
 */
export async function minify(code: string): Promise<string> {
  try {
    const options = {
      minifyWhitespace: true,
      minifyIdentifiers: true,
      legalComments: "eof",
    } as const;
    return (await transform(code, options)).code;
  } finally {
    await stop();
  }
}

export async function bundleAll(): Promise<void> {
  for (const name of ["csi-driver", "cert-service"] as const) {
    const size = await bundle(name);
    console.log(`bundle: dist/${name}.js ${(size / 1024).toFixed(0)} KiB`);
  }
}

if (import.meta.main) await bundleAll();
