/** Every rule about the structure of the repository, each as a list of the problems found. */
import type { SourceFile } from "./source_file.ts";
import type { Structure } from "./structure.ts";
import { environmentProblems, unusedPermissions } from "./structure_environment.ts";
import { folderProblems, formProblems, placeProblems } from "./structure_form.ts";
import { importedPaths } from "./structure_graph.ts";
import {
  cycleProblems,
  entryProblems,
  importProblems,
  reachProblems,
  tableProblems,
  unusedProblems,
} from "./structure_imports.ts";

/** Everything about src that the structure forbids, one sentence for each problem. */
export function structureProblems(source: readonly SourceFile[], structure: Structure): string[] {
  return [
    ...source.flatMap((file) => placeProblems(file, structure)),
    ...source.flatMap((file) => formProblems(file, structure)),
    ...source.flatMap((file) => environmentProblems(file, structure)),
    ...source.flatMap((file) => importProblems(file, structure)),
    ...folderProblems(source, structure),
    ...tableProblems(structure),
    ...unusedProblems(source, structure),
    ...unusedPermissions(source, structure),
    ...cycleProblems(source),
    ...entryProblems(source, structure),
    ...reachProblems(source, structure),
  ];
}

/** Imports of the tests by a file of scripts; both may use scripts/support. */
export function scriptProblems(scripts: readonly SourceFile[]): string[] {
  return scripts.flatMap((file) =>
    importedPaths(file).filter((path) => path.startsWith("tests/"))
      .map((path) => `${file.path}: imports ${path}; scripts never import tests`)
  );
}

/** Tests below tests/driver, tests/service and tests/shared whose folder src does not have. */
export function mirrorProblems(paths: Iterable<string>, { folders }: Structure): string[] {
  return [...paths].flatMap((path) => {
    const [, folder] = /^tests\/((?:driver|service|shared)(?:\/.*)?)\/[^/]+$/.exec(path) ?? [];
    if (folder === undefined || folder in folders) return [];
    return [`${path}: src has no folder ${folder}`];
  });
}
