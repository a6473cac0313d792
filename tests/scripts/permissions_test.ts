import assert from "node:assert/strict";
import {
  bundleFlags,
  bundleFolderVariable,
  engineFlags,
  entryOf,
  permissions,
  programArguments,
  programFlags,
  type ProgramName,
} from "../../scripts/permissions.ts";

const names = Object.keys(permissions) as ProgramName[];

Deno.test("no program ships with the permission to run others, to import, or to do everything", () => {
  for (const name of names) {
    for (const flag of programFlags(name)) {
      assert.doesNotMatch(flag, /^(-A|--allow-all|--allow-run|--allow-import|--allow-scripts)/);
    }
  }
});

Deno.test("each program calls into the libraries it needs, by the absolute paths that Deno matches", () => {
  const libraries = {
    "csi-driver": ["libc.so.6"],
    "cert-service": ["libc.so.6", "libcrypto.so.3"],
  };
  for (const name of names) {
    const [flag, ...more] = programFlags(name).filter((flag) => flag.startsWith("--allow-ffi"));
    const [, paths = ""] = flag?.split("=") ?? [];
    assert.equal(more.length, 0);
    assert.ok(paths.split(",").every((path) => path.startsWith("/")), paths);
    const called = new Set(paths.split(",").map((path) => path.split("/").at(-1)));
    assert.deepEqual([...called], libraries[name]);
  }
  assert.ok(programFlags("cert-service").every((flag) => !flag.startsWith("--allow-sys")));
});

Deno.test("each permission is given once, with its reason", () => {
  for (const name of names) {
    const flags = permissions[name].map(({ flag }) => flag.split("=")[0]);
    assert.equal(new Set(flags).size, flags.length);
    for (const { flag, reason } of permissions[name]) assert.match(reason, /\w/, flag);
  }
});

Deno.test("a bundle loads only itself and never prompts for a permission", () => {
  for (const name of names) {
    const args = programArguments(name, "bundle");
    for (const flag of [...bundleFlags, "--no-prompt"]) assert.ok(args.includes(flag), flag);
    assert.match(args.at(-1) ?? "", new RegExp(`/dist/${name}\\.js$`));
  }
});

Deno.test("bundles run from the folder that is set for them; sources do not move", () => {
  const source = entryOf("csi-driver", "source");
  const given = Deno.env.get(bundleFolderVariable);
  Deno.env.set(bundleFolderVariable, "/elsewhere");
  try {
    assert.equal(programArguments("csi-driver", "bundle").at(-1), "/elsewhere/csi-driver.js");
    assert.equal(entryOf("csi-driver", "source"), source);
  } finally {
    if (given === undefined) Deno.env.delete(bundleFolderVariable);
    else Deno.env.set(bundleFolderVariable, given);
  }
});

Deno.test("V8's flags are the same in each form of a program, and the service has none", () => {
  for (const form of ["source", "bundle"] as const) {
    for (const name of names) {
      const flagsGiven = programArguments(name, form).filter((flag) =>
        flag.startsWith("--v8-flags")
      );
      const flags = engineFlags[name].map(({ flag }) => flag);
      assert.deepEqual(flagsGiven, flags.length === 0 ? [] : [`--v8-flags=${flags.join(",")}`]);
    }
  }
  assert.deepEqual(engineFlags["cert-service"], []);
});

Deno.test("V8 knows each flag, and no flag is given twice", async () => {
  for (const name of names) {
    const flags = engineFlags[name].map(({ flag }) => flag);
    assert.equal(new Set(flags).size, flags.length);
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", ...programFlags(name).filter((flag) => flag.startsWith("--v8-flags")), ""],
      stdin: "null",
    }).output();
    assert.deepEqual([code, new TextDecoder().decode(stderr)], [0, ""]);
  }
});
