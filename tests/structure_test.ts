import assert from "node:assert/strict";
import denoJson from "../deno.json" with { type: "json" };
import { readSource, type SourceFile } from "./support/source_file.ts";
import { mayImport, structureProblems } from "./support/structure_rules.ts";

const root = new URL("../", import.meta.url);
const packages = Object.keys(denoJson.imports);
const notOurs = new Set([".git", "dist", "node_modules", "coverage"]);

/** Path from the root to text, of every file that is ours. */
async function textsOfRepository(folder = ""): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const { name, isDirectory, isFile } of Deno.readDir(new URL(folder, root))) {
    if (notOurs.has(name)) continue;
    if (isFile) texts.set(folder + name, await Deno.readTextFile(new URL(folder + name, root)));
    if (!isDirectory) continue;
    for (const entry of await textsOfRepository(`${folder}${name}/`)) texts.set(...entry);
  }
  return texts;
}

const texts = await textsOfRepository();

/** A sound tree of two entries with one file changed or added. */
function withFile(path: string, text: string): SourceFile[] {
  const sound = new Map([
    ["src/csi_driver.ts", `import { publish } from "./volume/publish.ts"; publish();`],
    ["src/cert_service.ts", `import { sign } from "./authority/sign.ts"; sign();`],
    ["src/volume/publish.ts", `export function publish() {}`],
    ["src/authority/sign.ts", `export function sign() {}`],
    [path, text],
  ]);
  return [...sound].map((entry) => readSource(...entry));
}

function problemsWith(path: string, text: string): string[] {
  return structureProblems(withFile(path, text), packages);
}

Deno.test("src keeps to the import table and the rules around it", () => {
  const files = [...texts].filter(([path]) => /^src\/.*\.ts$/.test(path));
  assert.deepEqual(structureProblems(files.map((entry) => readSource(...entry)), packages), []);
});

Deno.test("src holds TypeScript only", () => {
  const others = [...texts.keys()].filter((path) => /^src\/.*(?<!\.ts)$/.test(path));
  assert.deepEqual(others, []);
});

Deno.test("no file names a place of the machine that it was written on", () => {
  // Put together here, so that this file does not hold what it looks for.
  const pattern = new RegExp(["", "work", "(main|shared|\\.library|\\.mirror)\\b"].join("/"));
  const found = [...texts].filter(([, text]) => pattern.test(text)).map(([path]) => path);
  assert.deepEqual(found, []);
});

Deno.test("the service's first import is the one that begins its first key", () => {
  const [first] = /^import .*$/m.exec(texts.get("src/cert_service.ts") ?? "") ?? [];
  assert.equal(first, 'import "./linux/early_seed.ts";');
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
  assert.deepEqual(problemsWith("src/x509/pem.ts", `import "node:crypto";`), []);
});

Deno.test("every import that the table does not list is a problem, in each form it can take", () => {
  const forms = [
    (to: string) => `import { a } from "${to}";`,
    (to: string) => `import type { A } from "${to}";`,
    (to: string) => `import "${to}";`,
    (to: string) => `export { a } from "${to}"; export const b = 1;`,
    (to: string) => `export const a = await import("${to}");`,
    (to: string) => `export type A = import("${to}").A;`,
  ];
  for (const from of Object.keys(mayImport)) {
    for (const to of Object.keys(mayImport)) {
      const allowed = from === to || mayImport[from]?.includes(to);
      for (const form of forms) {
        const problems = problemsWith(`src/${from}/a.ts`, form(`../${to}/b.ts`));
        assert.equal(problems.length, allowed ? 0 : 1, `${from} -> ${to}: ${problems}`);
      }
    }
  }
});

Deno.test("what only looks like an import is none", () => {
  const text = `// import "../grpc/a.ts"\nexport const a = 'import "../grpc/b.ts"';\n`;
  assert.deepEqual(problemsWith("src/x509/a.ts", text), []);
});

const bad: { what: string; path: string; text: string; problem: RegExp }[] = [
  {
    what: "a folder that is not in the table",
    path: "src/utils/a.ts",
    text: "",
    problem: /src\/utils is not in the import table/,
  },
  {
    what: "a third file in src itself",
    path: "src/main.ts",
    text: "",
    problem: /only the two entries/,
  },
  {
    what: "an import of an entry",
    path: "src/volume/a.ts",
    text: `import "../csi_driver.ts";`,
    problem: /nobody imports an entry/,
  },
  {
    what: "an import from the tests",
    path: "src/volume/a.ts",
    text: `import "../../tests/support/fake_clock.ts";`,
    problem: /outside src/,
  },
  {
    what: "Deno in x509",
    path: "src/x509/a.ts",
    text: `Deno.env.get("A");`,
    problem: /may not use Deno/,
  },
  {
    what: "Deno by its name in x509",
    path: "src/x509/a.ts",
    text: `export const d = Reflect.get(globalThis, "Deno");`,
    problem: /may not use Deno/,
  },
  {
    what: "a file system in x509",
    path: "src/x509/a.ts",
    text: `import "node:fs";`,
    problem: /may not import node:fs/,
  },
  {
    what: "the time of day in x509",
    path: "src/x509/a.ts",
    text: `export const t = Temporal.Now.instant();`,
    problem: /may not use Temporal.Now/,
  },
  {
    what: "a real timer in the volume domain",
    path: "src/volume/a.ts",
    text: `setTimeout(() => {}, 1);`,
    problem: /not from setTimeout/,
  },
  {
    what: "@peculiar/x509 outside x509",
    path: "src/authority/a.ts",
    text: `import "@peculiar/x509";`,
    problem: /which only x509 may/,
  },
  {
    what: "gRPC in the domain",
    path: "src/volume/a.ts",
    text: `import { status } from "@grpc/grpc-js"; export const ok = status.OK;`,
    problem: /which only grpc, csi/,
  },
  {
    what: "a tool of the tests",
    path: "src/volume/a.ts",
    text: `import "fast-check";`,
    problem: /which only scripts and tests may/,
  },
  {
    what: "a jsr: import",
    path: "src/grpc/a.ts",
    text: `import "jsr:@std/path";`,
    problem: /no name of deno.json/,
  },
  {
    what: "an https: import",
    path: "src/grpc/a.ts",
    text: `import "https://example.com/a.ts";`,
    problem: /no name of deno.json/,
  },
  {
    what: "an import of something computed",
    path: "src/grpc/a.ts",
    text: `export const a = (name: string) => import(name);`,
    problem: /computed/,
  },
  {
    what: "export * from",
    path: "src/grpc/a.ts",
    text: `export * from "./b.ts"; export const a = 1;`,
    problem: /export \* from/,
  },
  {
    what: "a barrel",
    path: "src/grpc/a.ts",
    text: `import "./c.ts"; export { b } from "./b.ts";`,
    problem: /barrel/,
  },
  {
    what: "a file of 251 lines",
    path: "src/grpc/a.ts",
    text: "// a\n".repeat(251),
    problem: /251 lines/,
  },
  {
    what: "the service's domain in the driver, over two steps",
    path: "src/volume/publish.ts",
    text: `import "../authority/sign.ts";`,
    problem: /csi_driver.ts: its import graph reaches src\/authority/,
  },
  {
    what: "the Kubernetes client in the driver",
    path: "src/csi_driver.ts",
    text: `import "@kubernetes/client-node";`,
    problem: /reaches @kubernetes\/client-node/,
  },
  {
    what: "the driver's domain in the service",
    path: "src/authority/sign.ts",
    text: `import "../volume/publish.ts";`,
    problem: /cert_service.ts: its import graph reaches src\/volume/,
  },
];

for (const { what, path, text, problem } of bad) {
  Deno.test(`a tree with ${what} is refused`, () => {
    const problems = problemsWith(path, text);
    assert.ok(problems.some((line) => problem.test(line)), problems.join("\n") || "no problem");
  });
}

Deno.test("a tree without an entry is refused", () => {
  assert.deepEqual(structureProblems([], packages), [
    "src/csi_driver.ts: is missing",
    "src/cert_service.ts: is missing",
  ]);
});
