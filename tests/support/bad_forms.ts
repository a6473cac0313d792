import type { BadTree } from "./small_structure.ts";

const lineFeeds = "\n".repeat(60);

/** Trees that break a rule about places, sizes, comments and the environment. */
export const badForms: readonly BadTree[] = [
  {
    what: "a folder that is not in the table",
    path: "src/utils/a.ts",
    text: "",
    problem: /src\/utils is not in the import table/,
  },
  {
    what: "a folder inside a folder",
    path: "src/driver/volume/parts/a.ts",
    text: "",
    problem: /src\/driver\/volume\/parts is not in the import table/,
  },
  {
    what: "a third file in src itself",
    path: "src/main.ts",
    text: "",
    problem: /only the entries are in src itself/,
  },
  {
    what: "no entry",
    path: "src/csi_driver.ts",
    text: undefined,
    problem: /csi_driver.ts: is missing/,
  },
  {
    what: "a file of 251 lines",
    path: "src/service/ca/a.ts",
    text: "// a\n".repeat(251),
    problem: /251 lines, more than 250/,
  },
  {
    what: "an entry of 151 lines",
    path: "src/csi_driver.ts",
    text: "// a\n".repeat(151),
    problem: /151 lines, more than 150/,
  },
  {
    what: "a function of 61 lines",
    path: "src/service/ca/a.ts",
    text: `function long() {${lineFeeds}}`,
    problem: /a.ts:1: the function long has 61 lines/,
  },
  {
    what: "a method of 61 lines",
    path: "src/service/ca/a.ts",
    text: `class A {\n  #long() {${lineFeeds}}\n}`,
    problem: /a.ts:2: the function long has 61 lines/,
  },
  {
    what: "an arrow function of 61 lines",
    path: "src/service/ca/a.ts",
    text: `export const long = () => {${lineFeeds}};`,
    problem: /the function long has 61 lines/,
  },
  {
    what: "a function expression of 61 lines",
    path: "src/service/ca/a.ts",
    text: `start(function () {${lineFeeds}});`,
    problem: /the function without a name has 61 lines/,
  },
  {
    what: "a folder without its main file",
    path: "src/service/ca/ca.ts",
    text: undefined,
    problem: /ca.ts: the folder's main file does not exist/,
  },
  {
    what: "a main file without a comment",
    path: "src/service/ca/ca.ts",
    text: `import "../../shared/text/names.ts";`,
    problem: /does not open with a comment that says what service\/ca never does/,
  },
  {
    what: "a main file whose comment comes after the imports",
    path: "src/service/ca/ca.ts",
    text: `import "a";\n/** The CA. Never signs. */\n\nexport const a = 1;`,
    problem: /does not open with a comment/,
  },
  {
    what: "a main file whose comment is a declaration's",
    path: "src/service/ca/ca.ts",
    text: `/** The CA. Never signs. */\nexport const a = 1;`,
    problem: /does not open with a comment/,
  },
  {
    what: "a main file whose comment prohibits nothing",
    path: "src/service/ca/ca.ts",
    text: `/** The CA, as never before. */\n\nexport const a = 1;`,
    problem: /does not open with a comment/,
  },
  {
    what: "export * from",
    path: "src/service/ca/a.ts",
    text: `export * from "./b.ts"; export const a = 1;`,
    problem: /export \* from/,
  },
  {
    what: "a barrel",
    path: "src/service/ca/a.ts",
    text: `import "./c.ts"; export { b } from "./b.ts";`,
    problem: /barrel/,
  },
  {
    what: "a file that is named as a barrel",
    path: "src/service/ca/mod.ts",
    text: `export const a = 1;`,
    problem: /barrel/,
  },
  {
    what: "an import of a computed specifier",
    path: "src/service/ca/a.ts",
    text: `export const a = (name: string) => import(name);`,
    problem: /computed/,
  },
  {
    what: "Deno in a pure folder",
    path: "src/shared/text/a.ts",
    text: `Deno.env.get("A");`,
    problem: /pure folder and may not use Deno/,
  },
  {
    what: "Deno by its name in a pure folder",
    path: "src/shared/text/a.ts",
    text: `export const d = Reflect.get(globalThis, "Deno");`,
    problem: /pure folder and may not use Deno/,
  },
  {
    what: "the network in a pure folder",
    path: "src/shared/text/a.ts",
    text: `await fetch("https://example.com");`,
    problem: /pure folder and may not use fetch/,
  },
  {
    what: "a timer in a pure folder",
    path: "src/shared/text/a.ts",
    text: `setImmediate(() => {});`,
    problem: /pure folder and may not use setImmediate/,
  },
  {
    what: "the time of day in a pure folder",
    path: "src/shared/text/a.ts",
    text: `export const t = new Date();`,
    problem: /pure folder and may not use new Date/,
  },
  {
    what: "a file system in a pure folder",
    path: "src/shared/text/a.ts",
    text: `import "node:fs";`,
    problem: /pure folder and may not import node:fs/,
  },
  {
    what: "a log in a pure folder",
    path: "src/shared/text/a.ts",
    text: `import "@logtape/logtape";`,
    problem: /pure folder and may not import @logtape/,
  },
  {
    what: "Deno in a folder that does not use it",
    path: "src/driver/volume/a.ts",
    text: `Deno.cwd();`,
    problem: /driver\/volume may not use Deno/,
  },
  {
    what: "a permission for Deno that is not used",
    path: "src/service/kubernetes/cluster.ts",
    text: "",
    problem: /permits Deno in service\/kubernetes, which does not use it/,
  },
  {
    what: "a clock that is permitted and not used",
    path: "src/shared/scheduler/system_clock.ts",
    text: "",
    problem: /permits a clock in .*system_clock.ts, which uses none/,
  },
];
