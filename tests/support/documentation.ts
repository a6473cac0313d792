import assert from "node:assert/strict";

/** The repository's folder. */
export const root = new URL("../../", import.meta.url);

/** The pages outside docs/. */
const pagesOutsideDocs = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "SECURITY.md",
  "tests/faults/README.md",
];

/** The text of a page by its path from the repository's folder. */
export function page(path: string): string {
  return Deno.readTextFileSync(new URL(path, root));
}

/** The paths of all pages, from the repository's folder. */
export function pages(): string[] {
  return [...pagesOutsideDocs, ...filesBelow("docs", ".md")].sort();
}

/** The texts of all TypeScript files below a folder. */
export function sourceTexts(folder: string): string[] {
  return filesBelow(folder, ".ts").map(page);
}

function filesBelow(folder: string, ending: string): string[] {
  return [...Deno.readDirSync(new URL(folder, root))].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return filesBelow(path, ending);
    return name.endsWith(ending) ? [path] : [];
  });
}

/** The text of a page without its fenced blocks of code. */
export function withoutCode(text: string): string {
  return text.replace(/^ *```.*?^ *```$/gms, "");
}

/** The rows below a table's heading row, cell by cell, without the marks of code. */
export function rows(text: string, firstHeading: string): string[][] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => cells(line)[0] === firstHeading);
  assert.notEqual(start, -1, `there is no table that starts with "${firstHeading}"`);
  const rest = lines.slice(start + 2);
  const end = rest.findIndex((line) => !line.startsWith("|"));
  return rest.slice(0, end === -1 ? undefined : end).map(cells);
}

function cells(line: string): string[] {
  if (!line.startsWith("|")) return [];
  return line.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("`", ""));
}

/** A page's fenced blocks of code in one language, also those that belong to an item of a list. */
export function blocks(text: string, language: string): string[] {
  const fenced = text.matchAll(new RegExp(`^( *)\`\`\`${language}\\n(.*?)^\\1\`\`\``, "gms"));
  return [...fenced].map(([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), "")
  );
}

/** The anchors of a page: one for each heading, as GitHub names them. */
export function anchors(text: string): string[] {
  const seen = new Map<string, number>();
  return [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => {
    const anchor = heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}

/** The targets of a page's links. */
export function links(text: string): string[] {
  return [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}
