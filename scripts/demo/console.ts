/** The demo's output and its format. */

const colour = Deno.stdout.isTerminal() && !Deno.noColor;

function paint(code: number, text: string): string {
  return colour ? `\x1b[${code}m${text}\x1b[0m` : text;
}

/** Prints a heading. */
export function heading(text: string): void {
  console.log(`\n${paint(1, text)}`);
}

/** Prints a property that was verified. */
export function shown(text: string): void {
  console.log(`  ${paint(32, "✓")} ${text}`);
}

/** Something worth knowing. */
export function note(text: string): void {
  console.log(`  ${text}`);
}

/** Rows under their titles, each column as wide as it needs. */
export function table(titles: string[], rows: string[][]): void {
  const all = [titles, ...rows];
  const widths = titles.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  for (const [index, row] of all.entries()) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd();
    console.log(`  ${index === 0 ? paint(2, line) : line}`);
  }
}

/** Shows that something is waited for, with the seconds; disposing it ends the display. */
export function progress(text: () => string): Disposable {
  const started = Date.now();
  const seconds = () => `${Math.floor((Date.now() - started) / 1000)} s`;
  if (!colour) {
    note(`… ${text()}`);
    const timer = setInterval(() => note(`… ${text()} (${seconds()})`), 5_000);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }
  const draw = () => {
    const line = `\r\x1b[K  … ${text()} (${seconds()})`;
    Deno.stdout.writeSync(new TextEncoder().encode(line));
  };
  draw();
  const timer = setInterval(draw, 500);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      Deno.stdout.writeSync(new TextEncoder().encode("\r\x1b[K"));
    },
  };
}
