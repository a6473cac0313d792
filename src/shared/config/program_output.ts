/** Both programs answer a person this way; each function returns the matching exit code. */

/** Writes what was asked for. */
export function printOutput(text: string): number {
  console.log(text);
  return 0;
}

/** Writes to standard error why the program does not start, one line for each problem. */
export function printProblems(program: string, problems: readonly string[]): number {
  for (const problem of problems) console.error(`${program}: ${problem}`);
  console.error(`${program}: see ${program} --help`);
  return 2;
}
