import { openLibc } from "./libc.ts";

const RLIMIT_CORE = 4;

/**
 * Keeps keys out of core dumps and out of reach of debuggers of the same user; answers with what could not be done.
 *
 * Both are needed: a core pattern that pipes to a program pays no heed to the limit. What this program reads of itself
 * under /proc stays readable, also when it does not run as root.
 */
export function hardenProcess(): string[] {
  const problems: string[] = [];
  try {
    using libc = openLibc();
    attempt(() => libc.setResourceLimit(RLIMIT_CORE, 0), problems);
    attempt(() => libc.setDumpable(false), problems);
  } catch (error) {
    problems.push(messageOf(error));
  }
  return problems;
}

function attempt(action: () => void, problems: string[]): void {
  try {
    action();
  } catch (error) {
    problems.push(messageOf(error));
  }
}

function messageOf(error: unknown): string {
  return `core dumps stay possible: ${error instanceof Error ? error.message : String(error)}`;
}
