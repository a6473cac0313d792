/** The rules about what a file of src imports. */
import type { SourceFile, SourceImport } from "./source_file.ts";
import { importsOf, type Structure } from "./structure.ts";
import {
  findCycle,
  folderOf,
  importedPackages,
  importedPaths,
  packageOf,
  reachedFrom,
  resolve,
  wingOf,
} from "./structure_graph.ts";

/** The imports of one file that the structure forbids. */
export function importProblems(file: SourceFile, structure: Structure): string[] {
  return file.imports.flatMap((each) => {
    const problem = each.specifier.startsWith(".")
      ? fileProblem(file.path, each, structure)
      : packageProblem(file.path, each.specifier, structure);
    return problem === undefined ? [] : [`${file.path}: ${problem}`];
  });
}

function fileProblem(
  path: string,
  { specifier, kind }: SourceImport,
  structure: Structure,
): string | undefined {
  const from = folderOf(path);
  const target = resolve(path, specifier);
  if (target === "deno.json") {
    return from === undefined ? undefined : "imports deno.json, which only an entry may";
  }
  if (!target.startsWith("src/")) return `imports ${target}, which is outside src`;
  const to = folderOf(target);
  if (to === undefined) return `imports ${target}; nothing imports an entry`;
  if (from === undefined) return entryImportProblem(path, target, structure);
  if (from === to) return undefined;
  if (isProgram(to)) return `imports ${target}; only an entry imports a program folder`;
  if (!wingsAllow(from, to)) {
    return `imports ${target}; ${wingOf(from)} never imports ${wingOf(to)}`;
  }
  const folder = structure.folders[from];
  if (folder === undefined || !importsOf(folder).includes(to)) {
    return `imports ${target}; the import table does not list ${from} -> ${to}`;
  }
  if (to === structure.loadedOnDemand && kind === "static") {
    return `imports ${target} statically; ${to} is loaded on demand, with import()`;
  }
  return undefined;
}

function entryImportProblem(path: string, target: string, structure: Structure) {
  const entry = structure.entries[path];
  if (entry === undefined || target === entry.firstImport?.path) return undefined;
  const allowed = [entry.program, ...structure.entryImports];
  if (allowed.includes(folderOf(target) ?? "")) return undefined;
  return `imports ${target}; an entry imports only ${allowed.join(", ")} and deno.json`;
}

function isProgram(folder: string): boolean {
  return folder.endsWith("/program");
}

/** Both programs' wings use shared, and nothing else of another wing. */
function wingsAllow(from: string, to: string): boolean {
  return wingOf(from) === wingOf(to) || wingOf(to) === "shared";
}

function packageProblem(path: string, specifier: string, { packages }: Structure) {
  const name = packageOf(specifier);
  if (name === undefined) return undefined;
  const homes = packages[name];
  if (homes === undefined) return `imports "${specifier}", which is not a package of deno.json`;
  if (homes.includes(folderOf(path) ?? "")) return undefined;
  return `imports ${specifier}, which only ${homes.join(", ") || "scripts and tests"} may`;
}

/** Errors of the import table itself. */
export function tableProblems({ folders, loadedOnDemand }: Structure): string[] {
  const names = Object.keys(folders);
  return Object.entries(folders).flatMap(([from, folder], index) =>
    importsOf(folder).flatMap((to) => {
      const entry = `the import table lists ${from} -> ${to}`;
      if (isProgram(to)) return [`${entry}; only an entry imports a program folder`];
      if (!wingsAllow(from, to)) return [`${entry}; ${wingOf(from)} never imports ${wingOf(to)}`];
      if (to === loadedOnDemand && !isProgram(from)) {
        return [`${entry}; only a program loads ${to}`];
      }
      const isBefore = names.slice(0, index).includes(to);
      return isBefore ? [] : [`${entry}, but ${to} does not stand before ${from}`];
    })
  );
}

/** Entries of the import table, and homes of packages, that no file of src uses. */
export function unusedProblems(source: readonly SourceFile[], structure: Structure): string[] {
  const used = new Set(source.flatMap((file) => {
    const from = folderOf(file.path);
    const imported = [...importedPaths(file).map(folderOf), ...importedPackages(file)];
    return imported.map((to) => `${from} -> ${to}`);
  }));
  const listed = [
    ...Object.entries(structure.folders).flatMap(([from, folder]) =>
      importsOf(folder).map((to) => `${from} -> ${to}`)
    ),
    ...Object.entries(structure.packages).flatMap(([name, homes]) =>
      homes.map((folder) => `${folder} -> ${name}`)
    ),
  ];
  return listed.filter((entry) => !used.has(entry))
    .map((entry) => `the data lists ${entry}, which no file imports`);
}

export function cycleProblems(source: readonly SourceFile[]): string[] {
  const cycle = findCycle(source);
  return cycle === undefined ? [] : [`a cycle of imports: ${cycle.join(" -> ")}`];
}

/** What each program must not contain, and the import that comes first. */
export function entryProblems(source: readonly SourceFile[], { entries }: Structure): string[] {
  return Object.entries(entries).flatMap(([path, { mustNotReach, firstImport }]) => {
    const entry = source.find((file) => file.path === path);
    if (entry === undefined) return [`${path}: is missing`];
    const reached = [...reachedFrom(path, source)];
    const problems = mustNotReach.flatMap((forbidden) => {
      const first = reached.find((name) => name.startsWith(forbidden));
      return first === undefined ? [] : [`${path}: reaches ${first} through its imports`];
    });
    if (firstImport !== undefined && importedPaths(entry)[0] !== firstImport.path) {
      problems.push(`${path}: its first import is not ${firstImport.path}, ${firstImport.reason}`);
    }
    return problems;
  });
}

/** Compares the files of shared that one program reaches with the data; every file has a user. */
export function reachProblems(source: readonly SourceFile[], structure: Structure): string[] {
  const entries = Object.keys(structure.entries);
  const reached = entries.map((entry) => ({ entry, paths: reachedFrom(entry, source) }));
  return source.flatMap(({ path }) => {
    const users = reached.filter(({ paths }) => paths.has(path)).map(({ entry }) => entry);
    if (users.length === 0) return [`${path}: no program reaches it`];
    if (!path.startsWith("src/shared/")) return [];
    const only = users.length === 1 ? users[0] : undefined;
    const listed = entries.find((entry) => structure.usedByOneProgram[entry]?.includes(path));
    if (only === listed) return [];
    return [`${path}: is used by ${users.join(" and ")}; the data lists ${listed ?? "both"}`];
  }).concat(missingFiles(Object.values(structure.usedByOneProgram).flat(), source));
}

function missingFiles(paths: readonly string[], source: readonly SourceFile[]): string[] {
  return paths.filter((path) => !source.some((file) => file.path === path))
    .map((path) => `${path}: is in the data, but does not exist`);
}
