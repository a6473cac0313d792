/** The rules about the place, size and form of the files of src. */
import type { SourceFile } from "./source_file.ts";
import type { Structure } from "./structure.ts";
import { folderOf } from "./structure_graph.ts";

const maxFileLines = 250;
const maxEntryLines = 150;
const maxFunctionLines = 60;
const maxFolderFiles = 15;

/** A sentence that states what the folder must not do. */
const prohibition = /(?:^|[.] )(?:It |They )?(?:must never|never)\b/i;

export function placeProblems({ path }: SourceFile, { entries, folders }: Structure): string[] {
  const folder = folderOf(path);
  if (folder === undefined) {
    return path in entries ? [] : [`${path}: only the entries are in src itself`];
  }
  return folder in folders ? [] : [`${path}: src/${folder} is not in the import table`];
}

export function formProblems(file: SourceFile, { entries, generated }: Structure): string[] {
  const { path, lines, computedImports, functions } = file;
  if (folderOf(path) === generated) return [];
  const problems: string[] = [];
  const maxLines = path in entries ? maxEntryLines : maxFileLines;
  if (lines > maxLines) problems.push(`${path}: ${lines} lines, more than ${maxLines}`);
  for (const { name, line, lines } of functions) {
    if (lines <= maxFunctionLines) continue;
    problems.push(
      `${path}:${line}: the function ${name} has ${lines} lines, more than ${maxFunctionLines}`,
    );
  }
  if (file.exportsAll) problems.push(`${path}: "export * from" hides where a name comes from`);
  if (file.onlyReexports || /\/(mod|index)\.ts$/.test(path)) {
    problems.push(`${path}: a barrel; import from the file that declares the name`);
  }
  if (computedImports > 0) problems.push(`${path}: a dynamic import of a computed specifier`);
  return problems;
}

/** The size of each folder, and the comment that opens its main file. */
export function folderProblems(source: readonly SourceFile[], structure: Structure): string[] {
  return Object.entries(structure.folders).flatMap(([folder, { mainFile }]) => {
    if (folder === structure.generated) return [];
    const files = source.filter(({ path }) => folderOf(path) === folder);
    const problems: string[] = [];
    if (files.length > maxFolderFiles) {
      problems.push(`src/${folder}: ${files.length} files, more than ${maxFolderFiles}`);
    }
    const path = `src/${folder}/${mainFile}`;
    const main = files.find((file) => file.path === path);
    if (main === undefined) problems.push(`${path}: the folder's main file does not exist`);
    else if (!prohibition.test(main.openingComment)) {
      problems.push(`${path}: does not open with a comment that says what ${folder} never does`);
    }
    return problems;
  });
}
