// Writes dist/csi-driver.js and dist/cert-service.js: each program in one minified file. With
// BUNDLE_FOLDER set they are written there instead, and everything that runs bundles reads them from there.

import { dirname, relative } from "node:path";
import { stop, transform } from "esbuild";
import { entryOf, type ProgramName } from "./permissions.ts";
import { taskArguments } from "./support/task_options.ts";

/**
 * A package that the gRPC library loads for channelz and for ORCA's load reports. The programs use
 * neither; it would be a fifth of the driver's bundle, which Deno reads at each start.
 */
export const leftOut = "@grpc/proto-loader";

/** Bundles a file and its imports into one minified file; returns its size in bytes. */
export async function bundle(entry: string, output: string): Promise<number> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", `--external=${leftOut}`, entry],
    cwd: new URL("../", import.meta.url),
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) {
    throw new Error(
      `deno bundle failed on ${entry}; it needs the npm registry once, for esbuild:\n` +
        decoder.decode(stderr),
    );
  }
  const minified = await minify(decoder.decode(stdout));
  await Deno.mkdir(dirname(output), { recursive: true });
  // Renamed into place, so that no process runs an incomplete file.
  const unfinished = `${output}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(unfinished, minified);
  await Deno.rename(unfinished, output);
  return (await Deno.stat(output)).size;
}

/**
 * Not `deno bundle --minify`: its esbuild (0.25) inlines a variable that is used once even if `using` declares it, and its
 * value is never disposed (esbuild issue 4482). The esbuild of this project (0.28) keeps it.
 */
async function minify(code: string): Promise<string> {
  try {
    return (await transform(code, { minify: true, legalComments: "eof" })).code;
  } finally {
    await stop();
  }
}

/** Bundles a program to the path from which its bundle is run, and prints the path and the size. */
export async function bundleProgram(name: ProgramName): Promise<void> {
  const output = entryOf(name, "bundle");
  const size = await bundle(entryOf(name, "source"), output);
  console.log(`bundle: ${relative(".", output)} ${(size / 1024).toFixed(0)} KiB`);
}

export async function bundleAll(): Promise<void> {
  for (const name of ["csi-driver", "cert-service"] as const) await bundleProgram(name);
}

if (import.meta.main) {
  taskArguments({ name: "bundle", options: {} });
  await bundleAll();
}
