/** Which file imports which: what the structure rules compute from the imports. */
import { posix } from "node:path";
import type { SourceFile } from "./source_file.ts";

/** The folder of a path below src, as "shared/text"; undefined for a file in src itself. */
export function folderOf(path: string): string | undefined {
  return path.split("/").slice(1, -1).join("/") || undefined;
}

/** `driver`, `service` or `shared`. */
export function wingOf(folder: string): string {
  return folder.split("/")[0] ?? "";
}

/** The path from the repository's root that a relative specifier names. */
export function resolve(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier);
}

/** The paths of the repository's files that a file imports. */
export function importedPaths({ path, imports }: SourceFile): string[] {
  return imports.filter(({ specifier }) => specifier.startsWith("."))
    .map(({ specifier }) => resolve(path, specifier));
}

/** The names of the packages that a file imports. */
export function importedPackages({ imports }: SourceFile): string[] {
  return imports.flatMap(({ specifier }) => packageOf(specifier) ?? []);
}

/** The name of the package that a specifier imports; undefined for a file and for Node's modules. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return undefined;
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}

/** Paths of files and names of packages that a file imports, directly or through other files. */
export function reachedFrom(path: string, files: readonly SourceFile[]): Set<string> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const reached = new Set([path]);
  // A Set's iteration also visits the members that are added during the iteration.
  for (const next of reached) {
    const file = byPath.get(next);
    if (file === undefined) continue;
    for (const imported of importedPaths(file)) reached.add(imported);
    for (const name of importedPackages(file)) reached.add(name);
  }
  return reached;
}

/** The files of one cycle of imports, the first one repeated at the end; undefined without a cycle. */
export function findCycle(files: readonly SourceFile[]): string[] | undefined {
  const graph = new Map(files.map((file) => [file.path, importedPaths(file)]));
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (finished.has(path)) return undefined;
    for (const next of graph.get(path) ?? []) {
      const cycle = visit(next, [...trail, path]);
      if (cycle) return cycle;
    }
    finished.add(path);
    return undefined;
  };
  for (const path of graph.keys()) {
    const cycle = visit(path, []);
    if (cycle) return cycle;
  }
  return undefined;
}
