// Writes src/shared/gen from proto/.

import { taskArguments } from "./support/task_options.ts";

const buf = "npm:@bufbuild/buf@1.75.0/buf";
const plugin = "npm:@bufbuild/protoc-gen-es@2.17.0";

// Without the lock file: these two are tools and not part of the programs.
const run = ["run", "--quiet", "--no-lock", "--allow-all"];

const root = new URL("../", import.meta.url);
const generated = new URL("src/shared/gen/", root);

async function generateInto(folder: string): Promise<void> {
  const template = {
    version: "v2",
    clean: true,
    plugins: [{
      local: [Deno.execPath(), ...run, plugin],
      out: folder,
      opt: ["target=ts", "import_extension=ts"],
    }],
  };
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [...run, buf, "generate", "proto"]
      .concat("--template", JSON.stringify(template)),
    cwd: root,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn().status;
  if (!success) throw new Error("buf cannot generate from proto/: its messages are above");
}

/** File name to text, of a folder's files. */
async function textsOf(folder: URL | string): Promise<Map<string, string>> {
  const base = typeof folder === "string" ? `${folder}/` : folder.pathname;
  const texts = new Map<string, string>();
  for await (const entry of Deno.readDir(base)) {
    if (entry.isFile) texts.set(entry.name, await Deno.readTextFile(base + entry.name));
  }
  return texts;
}

async function differences(): Promise<string[]> {
  const fresh = await Deno.makeTempDir();
  try {
    await generateInto(fresh);
    const [expected, found] = [await textsOf(fresh), await textsOf(generated)];
    const names = new Set([...expected.keys(), ...found.keys()]);
    return [...names].filter((name) => expected.get(name) !== found.get(name)).sort();
  } finally {
    await Deno.remove(fresh, { recursive: true });
  }
}

const { options } = taskArguments({
  name: "generate",
  options: {
    check: { type: "boolean", help: "write nothing, and fail when src/shared/gen differs" },
  },
});
if (options.check) {
  const files = await differences();
  if (files.length > 0) {
    console.error(
      `src/shared/gen is not what proto/ gives (${files.join(", ")}): run "deno task generate"`,
    );
    Deno.exit(1);
  }
} else {
  await generateInto("src/shared/gen");
}
