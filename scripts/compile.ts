// Writes dist/csi-driver and dist/cert-service: self-contained binaries of the minified bundles.

import { bundleProgram } from "./bundle.ts";
import { bundleFlags, entryOf, programFlags, type ProgramName } from "./permissions.ts";
import { errorMessage } from "../src/shared/text/error_message.ts";
import { taskArguments } from "./support/task_options.ts";

interface Options {
  readonly target: string | undefined;
  readonly folder: string;
}

/** Packs the bundle, not the sources: the binary contains what was tested as a bundle. */
async function compile(name: ProgramName, { target, folder }: Options): Promise<string> {
  const output = `${folder}/${name}`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", ...bundleFlags, ...programFlags(name)]
      .concat(target === undefined ? [] : ["--target", target])
      .concat("--output", output, entryOf(name, "bundle")),
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const words = new TextDecoder().decode(stderr);
  if (success) return output;
  throw new Error(/denort|base binary/.test(words) ? baseBinaryMissing(words) : words);
}

function baseBinaryMissing(words: string): string {
  const given = Deno.env.get("DENORT_BIN");
  const cause = words.match(/https:\S+denort[^\s)]*/)?.[0] ?? "Deno's download host";
  const required = `denort of Deno ${Deno.version.deno}, for the target's machine`;
  return [
    "the base binary is missing (denort: Deno without its tools; a compiled program starts with it).",
    given === undefined
      ? `It cannot be downloaded from ${cause}.\nEither run this on a machine that can reach it, or fetch ` +
        `the file elsewhere, unpack it and set DENORT_BIN to it (${required}).`
      : `DENORT_BIN=${given} cannot be used.\nEither set it to an unpacked ${required}; or unset ` +
        `it, and it is downloaded.`,
    `deno compile printed:\n${words}`,
  ].join("\n");
}

if (import.meta.main) {
  const { options } = taskArguments({
    name: "compile",
    options: {
      target: { type: "string", value: "x86_64-unknown-linux-gnu", help: "the target machine" },
      out: { type: "string", value: "DIR", default: "dist", help: "the folder of the binaries" },
    },
  });
  const chosen: Options = { target: options.target, folder: options.out };
  try {
    for (const name of ["csi-driver", "cert-service"] as const) {
      await bundleProgram(name);
      const output = await compile(name, chosen);
      const { size } = await Deno.stat(output);
      console.log(`compile: ${output} ${(size / 2 ** 20).toFixed(1)} MiB`);
    }
  } catch (error) {
    console.error(`compile: ${errorMessage(error)}`);
    Deno.exit(1);
  }
}
