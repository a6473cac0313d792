/** Whether a name is one or two edits off; short names (TZ, TLS) are too similar to each other to decide. */
export function isTypo(name: string, known: string): boolean {
  const tolerance = known.length < 5 ? 0 : known.length < 9 ? 1 : 2;
  if (Math.abs(name.length - known.length) > tolerance) return false;
  return edits(name, known, tolerance) <= tolerance;
}

/**
 * Insertions, deletions, replacements and swaps of neighbours that make one text of the other; some
 * number over the most that is asked for, if it takes more. A pod's environment holds hundreds of
 * names, nearly all of which part from a known one within some letters.
 */
function edits(from: string, to: string, most: number): number {
  let before: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = last[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const swapped = isSwap ? before[j - 2]! + 1 : Infinity;
      row.push(Math.min(replaced, swapped, last[j]! + 1, row[j - 1]! + 1));
    }
    // Each row comes from the two before it, and no step makes a number smaller.
    if (Math.min(...row, ...last) > most) return most + 1;
    [before, last] = [last, row];
  }
  return last[to.length]!;
}
