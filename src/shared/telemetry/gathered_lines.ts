/** Lines on their way out. */
export interface GatheredLines {
  /** Adds a line, without its line feed. */
  add(line: string): void;
  /** Writes the lines that wait, at once. */
  flush(): void;
}

/**
 * Writes the lines that are added one upon another as one text, since each write costs more than
 * making the line.
 *
 * They are written in a microtask, and microtasks run in the order in which they were queued: so
 * code that awaits the function that added a line continues after the line is written. No caller is
 * answered before that, and no event of the program is between a line and its writing.
 */
export function gatherLines(write: (text: string) => void): GatheredLines {
  let text = "";
  const flush = () => {
    const gathered = text;
    text = "";
    if (gathered !== "") write(gathered);
  };
  return {
    add: (line) => {
      if (text === "") queueMicrotask(flush);
      text += `${line}\n`;
    },
    flush,
  };
}
