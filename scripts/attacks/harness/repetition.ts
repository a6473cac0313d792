/** What most attacks do: an act again and again, and a look at what remains open afterwards. */
import type { Attack } from "./row.ts";
import { pause } from "./service_row.ts";

/**
 * Repeats an act in several parallel sequences until the time is spent or the program has ended;
 * returns how often. The act receives its number and its sequence's.
 */
export async function repeatInParallel(
  { isSpent, isAlive }: Pick<Attack, "isSpent" | "isAlive">,
  sequences: number,
  act: (n: number, sequence: number) => Promise<void>,
): Promise<number> {
  let count = 0;
  const repeat = async (sequence: number) => {
    while (!isSpent() && isAlive()) await act(count++, sequence);
  };
  await Promise.all(Array.from({ length: sequences }, (_, sequence) => repeat(sequence)));
  return count;
}

/** How many are open, at most 3 s later: this side may learn of a close after it happened. */
export async function countOpen<T>(
  connections: readonly T[],
  isOpen: (connection: T) => boolean,
  expected: number,
): Promise<number> {
  const count = () => connections.filter(isOpen).length;
  for (let n = 0; n < 15 && count() > expected; n++) await pause(200);
  return count();
}
