// Which files hold the tests that a task's arguments select. Deno's own filter loads every module of
// the checkout before it compares a name; here files are read as text, and only those are loaded
// that can hold the name.

import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { TaskUsageError } from "./support/task_options.ts";
import type { TestCounts } from "./test_counts.ts";
import { canContain, type NameParts, testNames } from "./test_names.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

export interface TestSelection {
  /** Paths from the root of the checkout, sorted. */
  readonly files: readonly string[];
  /** Parts of tests' names; none selects every test of the files. */
  readonly names: readonly string[];
}

/** What selects tests on a task's command line, for its help text. */
export const testWords = {
  PATH: "the tests of this file, or of the files below this folder",
  NAME: "the tests whose name contains these words",
};

/** As findTests; ends the program when a word selects nothing. */
export async function selectTests(
  task: string,
  words: readonly string[],
  scope: Scope,
): Promise<TestSelection> {
  try {
    return await findTests(words, scope);
  } catch (error) {
    if (!(error instanceof TaskUsageError)) throw error;
    console.error(`${task}: ${error.message}`);
    Deno.exit(2);
  }
}

interface Scope {
  /** The folder of the task's tests. */
  readonly below: string;
  /** Folders of other tasks: only a path selects what they hold. */
  readonly except?: readonly string[];
  /** The checkout. */
  readonly folder?: string;
}

/**
 * Finds the tests that a task's words select: a word that is the path of a file or a folder selects
 * what is below it, another word the tests whose names contain it.
 */
export async function findTests(
  words: readonly string[],
  { below, except = [], folder = root }: Scope,
): Promise<TestSelection> {
  const all = await testFilesBelow(folder, below);
  const paths: string[] = [];
  const names: string[] = [];
  for (const word of words) {
    const path = relative(folder, resolve(folder, word));
    if (await exists(join(folder, path))) paths.push(path);
    else if (/^\.{0,2}\/|_test\.ts$/.test(word)) throw new TaskUsageError(`no file ${word}`);
    else names.push(word);
  }
  for (const path of paths) {
    if (!all.some((file) => isBelow(file, path))) {
      throw new TaskUsageError(`no test file is ${path} or below it (among those below ${below})`);
    }
  }
  const isChosen = (file: string) =>
    paths.length === 0
      ? !except.some((path) => isBelow(file, path))
      : paths.some((path) => isBelow(file, path));
  if (names.length === 0) return { files: all.filter(isChosen), names };
  const sources = new Sources(folder);
  const holding = new Set<string>();
  for (const name of names) {
    const found = await sources.holding(all, name, "quick");
    let chosen = found.filter(isChosen);
    if (found.length === 0) chosen = await sources.holding(all.filter(isChosen), name, "thorough");
    if (chosen.length === 0) throw new TaskUsageError(unknownName(name, found));
    for (const file of chosen) holding.add(file);
  }
  return { files: [...holding].sort(), names };
}

/** Arguments of `deno test` that run a selection. */
export function selectionArguments({ files, names }: TestSelection): string[] {
  const escaped = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return [...names.length > 0 ? [`--filter=/${escaped.join("|")}/`] : [], ...files];
}

/** What is wrong when a run of the selected tests has these counts and ran none of them. */
export function missedSelection(
  { names }: TestSelection,
  { passed, failed, ignored }: TestCounts,
): string | undefined {
  if (names.length === 0 || passed + failed + ignored.length > 0) return undefined;
  return `no test's name contains ${names.map((name) => `"${name}"`).join(" or ")}`;
}

function unknownName(name: string, elsewhere: readonly string[]): string {
  const hint = elsewhere.length === 0
    ? "name a file to run all of its tests"
    : `to run tests of other tasks, name their file: ${elsewhere.join(", ")}`;
  return `no test's name contains "${name}"; ${hint}`;
}

async function testFilesBelow(folder: string, path: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(join(folder, path))) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory) found.push(...await testFilesBelow(folder, below));
    else if (entry.name.endsWith("_test.ts")) found.push(below);
  }
  return found.sort();
}

function isBelow(file: string, path: string): boolean {
  return path === "" || file === path || file.startsWith(`${path}/`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

interface Source {
  /** With the parts of a string over several lines joined, and quotes as they are printed. */
  readonly text: string;
  /** The names of the tests that the module registers. */
  readonly names: readonly NameParts[];
}

/** Test files and the modules that they import, each read once. */
class Sources {
  readonly #read = new Map<string, Source>();
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The files that can hold a test whose name contains these words. */
  async holding(
    files: readonly string[],
    words: string,
    search: "quick" | "thorough",
  ): Promise<string[]> {
    const found = [];
    for (const file of files) if (await this.#canHold(file, words, search)) found.push(file);
    return found;
  }

  /**
   * Whether a test of this file can have a name that contains these words. A value in the name is
   * looked for in the text of the file and of its imports: as it is, or by its words where only a
   * part of the name is the value or the search is thorough. Words with digits may be computed.
   */
  async #canHold(file: string, words: string, search: "quick" | "thorough"): Promise<boolean> {
    const sources = await this.#withImports(file);
    const names = sources.flatMap(({ names }) => names);
    const texts = sources.map(({ text }) => text);
    const together = texts.join("\n").toLowerCase();
    const hasWords = (part: string) =>
      part.toLowerCase().split(/[^a-z0-9]+/).every((word) =>
        /\d/.test(word) || together.includes(word)
      );
    const isComputed = names.some(({ length }) => length > 1);
    return names.some((parts) => canContain(parts, words, hasWords)) ||
      isComputed && texts.some((text) => text.includes(words)) ||
      isComputed && search === "thorough" && hasWords(words);
  }

  /** Imports of tests and scripts are followed; a module of the programs is read alone. */
  async #withImports(file: string): Promise<Source[]> {
    const open = [file];
    const seen = new Set(open);
    const sources: Source[] = [];
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      const source = await this.#source(path);
      sources.push(source);
      if (path.startsWith("src/")) continue;
      for (const [, specifier = ""] of source.text.matchAll(/(?:from|import\(?)\s*"(\.[^"]+)"/g)) {
        const imported = join(path, "..", specifier);
        if (!seen.has(imported)) open.push(imported);
        seen.add(imported);
      }
    }
    return sources;
  }

  async #source(path: string): Promise<Source> {
    let source = this.#read.get(path);
    if (source === undefined) {
      const text = await Deno.readTextFile(join(this.#folder, path)).catch(() => "");
      source = { text: withoutEscapes(text), names: testNames(text) };
      this.#read.set(path, source);
    }
    return source;
  }
}

function withoutEscapes(text: string): string {
  return text.replace(/["`] \+\s+["`]/g, "").replace(/\\(["'`\\])/g, "$1");
}
