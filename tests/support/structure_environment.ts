/** The rules about what of its environment a file of src uses: Deno, clocks, timers, the network. */
import type { SourceFile } from "./source_file.ts";
import type { Structure } from "./structure.ts";
import { folderOf } from "./structure_graph.ts";

/** The modules of Node that only compute. */
const pureNodeModules = ["node:buffer", "node:crypto"];
const logging = "@logtape/logtape";
const clockGlobals = [
  "AbortSignal.timeout",
  "Date.now",
  "Temporal.Now",
  "new Date()",
  "performance",
  "setInterval",
  "setTimeout",
];

/** What a file uses that its folder may not. */
export function environmentProblems(file: SourceFile, structure: Structure): string[] {
  const folder = folderOf(file.path);
  if (folder === undefined) return [];
  const problems: string[] = [];
  if (structure.pure.includes(folder)) problems.push(...purityProblems(file));
  else if (file.globals.has("Deno") && !structure.usesDeno.includes(folder)) {
    problems.push(`${folder} may not use Deno`);
  }
  if (structure.takesClock.includes(folder) && !(file.path in structure.clockExceptions)) {
    problems.push(...clocksOf(file).map((name) => `takes its time from a Clock, not from ${name}`));
  }
  return problems.map((problem) => `${file.path}: ${problem}`);
}

function purityProblems({ globals, imports }: SourceFile): string[] {
  const modules = imports.map(({ specifier }) => specifier).filter((specifier) =>
    specifier === logging ||
    (specifier.startsWith("node:") && !pureNodeModules.includes(specifier))
  );
  return [
    ...[...globals].map((name) => `is in a pure folder and may not use ${name}`),
    ...modules.map((name) => `is in a pure folder and may not import ${name}`),
  ];
}

/** The clocks and timers of the system that a file uses. */
function clocksOf({ globals, imports }: SourceFile): string[] {
  const modules = imports.map(({ specifier }) => specifier)
    .filter((specifier) => specifier.startsWith("node:timers"));
  return [...clockGlobals.filter((name) => globals.has(name)), ...modules];
}

/** Permissions of the data that no file needs. */
export function unusedPermissions(source: readonly SourceFile[], structure: Structure): string[] {
  const needsDeno = new Set(
    source.filter(({ globals }) => globals.has("Deno")).map(({ path }) => folderOf(path)),
  );
  const needsClock = new Set(
    source.filter((file) => clocksOf(file).length > 0).map(({ path }) => path),
  );
  return [
    ...structure.usesDeno.filter((folder) => !needsDeno.has(folder))
      .map((folder) => `the data permits Deno in ${folder}, which does not use it`),
    ...Object.keys(structure.clockExceptions).filter((path) => !needsClock.has(path))
      .map((path) => `the data permits a clock in ${path}, which uses none`),
  ];
}
