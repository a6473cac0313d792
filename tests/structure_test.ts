import assert from "node:assert/strict";
import denoJson from "../deno.json" with { type: "json" };
import { badForms } from "./support/bad_forms.ts";
import { badImports } from "./support/bad_imports.ts";
import { smallStructure, smallTree } from "./support/small_structure.ts";
import { readSource, type SourceFile } from "./support/source_file.ts";
import { importsOf } from "./support/structure.ts";
import { folderProblems } from "./support/structure_form.ts";
import { reachedFrom } from "./support/structure_graph.ts";
import { importProblems, tableProblems } from "./support/structure_imports.ts";
import { mirrorProblems, scriptProblems, structureProblems } from "./support/structure_rules.ts";
import { structure } from "./support/structure_table.ts";

const root = new URL("../", import.meta.url);
const foreignFolders = new Set([".git", "dist", "node_modules", "coverage"]);

/** Path from the root to text, of every file of the repository. */
async function textsOfRepository(folder = ""): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const { name, isDirectory, isFile } of Deno.readDir(new URL(folder, root))) {
    if (foreignFolders.has(name)) continue;
    if (isFile) texts.set(folder + name, await Deno.readTextFile(new URL(folder + name, root)));
    if (!isDirectory) continue;
    for (const entry of await textsOfRepository(`${folder}${name}/`)) texts.set(...entry);
  }
  return texts;
}

const texts = await textsOfRepository();

/** The TypeScript files below a folder of the repository. */
function sourceFiles(folder: string): SourceFile[] {
  return [...texts].filter(([path]) => path.startsWith(folder) && path.endsWith(".ts"))
    .map((entry) => readSource(...entry));
}

Deno.test("src keeps to the import table and the rules around it", () => {
  assert.deepEqual(structureProblems(sourceFiles("src/"), structure), []);
});

Deno.test("the structure's data lists the packages of deno.json", () => {
  assert.deepEqual(Object.keys(structure.packages), Object.keys(denoJson.imports));
});

Deno.test("a command that calls the service loads neither certificate code nor the Kubernetes client", () => {
  const loadedAtOnce = sourceFiles("src/").map((file) => ({
    ...file,
    imports: file.imports.filter(({ kind }) => kind === "static"),
  }));
  const forbidden =
    /^@(peculiar|kubernetes)\/|^src\/(service\/(x509|ca|policy|kubernetes)|shared\/x509)\//;
  for (const path of ["src/cert_service.ts", "src/service/admin/certificate_commands.ts"]) {
    const found = [...reachedFrom(path, loadedAtOnce)].filter((name) => forbidden.test(name));
    assert.deepEqual(found, [], path);
  }
});

Deno.test("src holds TypeScript only", () => {
  const others = [...texts.keys()].filter((path) => /^src\/.*(?<!\.ts)$/.test(path));
  assert.deepEqual(others, []);
});

Deno.test("scripts never import tests", () => {
  assert.deepEqual(scriptProblems(sourceFiles("scripts/")), []);
});

Deno.test("the tests of the wings mirror the folders of src", () => {
  assert.deepEqual(mirrorProblems(texts.keys(), structure), []);
});

Deno.test("no file contains a path of the machine that it was written on", () => {
  // Joined here, so that this file does not contain what it searches for.
  const pattern = new RegExp(["", "work", "(main|shared|\\.library|\\.mirror)\\b"].join("/"));
  const found = [...texts].filter(([, text]) => pattern.test(text)).map(([path]) => path);
  assert.deepEqual(found, []);
});

Deno.test("deno.lock names no host, so that any npm registry serves", () => {
  assert.doesNotMatch(texts.get("deno.lock") ?? "", /[a-z]+:\/\//);
});

Deno.test("nothing is imported from outside npm", () => {
  for (const target of Object.values(denoJson.imports)) assert.match(target, /^npm:[^/]/);
  const lock = JSON.parse(texts.get("deno.lock") ?? "{}");
  assert.deepEqual([lock.jsr, lock.remote, lock.redirects], [undefined, undefined, undefined]);
});

Deno.test("a sound tree has no problem", () => {
  const sound = smallTree("src/shared/gen/csi_pb.ts", "// a\n".repeat(1_000));
  assert.deepEqual(structureProblems(sound, smallStructure), []);
});

for (const { what, path, text, problem } of [...badImports, ...badForms]) {
  Deno.test(`a tree with ${what} is rejected`, () => {
    const problems = structureProblems(smallTree(path, text), smallStructure);
    assert.ok(problems.some((line) => problem.test(line)), problems.join("\n") || "no problem");
  });
}

Deno.test("an import that the table does not list is a problem in each form it can have", () => {
  const forms = [
    (to: string) => `import type { A } from "${to}";`,
    (to: string) => `import { type A } from "${to}";`,
    (to: string) => `export type { A } from "${to}";`,
    (to: string) => `export const a = await import("${to}");`,
    (to: string) => `export type A = import("${to}").A;`,
    (to: string) => `import "${to}";`,
    (to: string) => `import { a } from "${to}";`,
    (to: string) => `import { a, type A } from "${to}";`,
    (to: string) => `export { a } from "${to}";`,
    (to: string) => `export * from "${to}";`,
  ];
  const staticForms = forms.slice(5);
  for (const [from, folder] of Object.entries(smallStructure.folders)) {
    for (const to of Object.keys(smallStructure.folders)) {
      const isListed = from === to || importsOf(folder).includes(to);
      const isOnDemand = from !== to && to === smallStructure.loadedOnDemand;
      for (const form of forms) {
        const isAllowed = isListed && !(isOnDemand && staticForms.includes(form));
        const file = readSource(`src/${from}/a.ts`, form(`../../${to}/b.ts`));
        const problems = importProblems(file, smallStructure);
        assert.equal(problems.length, isAllowed ? 0 : 1, `${form(to)} in ${from}: ${problems}`);
      }
    }
  }
});

Deno.test("a comment or a string is not taken for an import", () => {
  const text = `// import "../../service/a.ts"\nexport const a = 'import "../../service/b.ts"';\n`;
  assert.deepEqual(importProblems(readSource("src/driver/volume/a.ts", text), smallStructure), []);
});

for (
  const clock of [
    "Temporal.Now.instant();",
    "Date.now();",
    "new Date();",
    "performance.now();",
    "setTimeout(() => {}, 1);",
    "setInterval(() => {}, 1);",
    "AbortSignal.timeout(1);",
    `import "node:timers/promises";`,
  ]
) {
  Deno.test(`a tree is rejected where a folder that takes a Clock uses ${clock}`, () => {
    const problems = structureProblems(smallTree("src/driver/volume/a.ts", clock), smallStructure);
    assert.ok(problems.some((line) => /a.ts: takes its time from a Clock/.test(line)), clock);
  });
}

Deno.test("a folder of 16 files is a problem", () => {
  const files = [...Array(14).keys()].map((n) => readSource(`src/service/ca/a${n}.ts`, ""));
  const sound = smallTree("src/service/ca/early.ts", "");
  assert.deepEqual(folderProblems([...sound, ...files], smallStructure), [
    "src/service/ca: 16 files, more than 15",
  ]);
});

for (
  const [what, folder, mayImport, problem] of [
    ["has a cycle", "shared/scheduler", { shared: ["gen"] }, /does not stand before/],
    ["lists an unknown folder", "shared/gen", { shared: ["a"] }, /does not stand before/],
    ["lists a program folder", "driver/volume", { driver: ["program"] }, /only an entry/],
    [
      "lists what is loaded on demand",
      "service/late",
      { service: ["kubernetes"] },
      /only a program loads/,
    ],
    ["lists another wing", "service/ca", { driver: ["volume"] }, /service never imports driver/],
    ["lists a program's wing for shared", "shared/gen", { driver: ["volume"] }, /never imports/],
  ] as const
) {
  Deno.test(`an import table that ${what} is a problem`, () => {
    const folders = { ...smallStructure.folders, [folder]: { purpose: "", mayImport } };
    const problems = tableProblems({ ...smallStructure, folders });
    assert.ok(problems.some((line) => problem.test(line)), problems.join("\n") || "no problem");
  });
}

Deno.test("an import of the tests by the scripts is a problem", () => {
  const script = readSource("scripts/demo/a.ts", `import "../../tests/support/node.ts";`);
  assert.equal(scriptProblems([script]).length, 1);
  const other = readSource("scripts/demo/a.ts", `import "../support/kubelet.ts";`);
  assert.deepEqual(scriptProblems([other]), []);
});

Deno.test("a folder of tests that src does not have is a problem", () => {
  const paths = ["tests/driver/volume/a_test.ts", "tests/e2e/a_test.ts", "tests/structure_test.ts"];
  assert.deepEqual(mirrorProblems(paths, smallStructure), []);
  for (const path of ["tests/driver/mount/a_test.ts", "tests/shared/a_test.ts"]) {
    assert.equal(mirrorProblems([path], smallStructure).length, 1, path);
  }
});
