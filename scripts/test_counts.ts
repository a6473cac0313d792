import { stripVTControlCharacters } from "node:util";

/** The counts that a run of `deno test` prints. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  /** Names of the tests and steps that were ignored. */
  readonly ignored: readonly string[];
}

/** Reads a run's output; undefined when its closing line is not there. */
export function readCounts(output: string): TestCounts | undefined {
  const text = stripVTControlCharacters(output);
  const closing = [...text.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm)].at(-1);
  if (closing === undefined) return undefined;
  const ignored = [...text.matchAll(/^ *(.+) \.\.\. ignored(?: \(.*\))?$/gm)].map(
    ([, name]) => name ?? "",
  );
  return { passed: Number(closing[1]), failed: Number(closing[2]), ignored };
}
