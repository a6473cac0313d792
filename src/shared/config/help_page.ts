import type { VariableTable } from "./environment.ts";

const width = 100;

export function helpPage(
  title: string,
  usage: [string, string][],
  table: VariableTable,
  notes: readonly string[] = [],
): string {
  const variables = Object.values(table).map((variable): [string, string] => {
    const fallback = variable.defaultText ?? variable.default;
    return [variable.name, variable.description + (fallback === undefined ? "" : ` [${fallback}]`)];
  });
  return [
    title,
    "",
    "Usage:",
    ...columns(usage),
    "",
    "Environment (an empty variable counts as unset; defaults in brackets):",
    ...columns(variables),
    "",
    'Durations are written as in Go: "90s", "1h30m", "168h".',
    ...notes,
    "",
  ].join("\n");
}

/** Two aligned columns; text of the second that does not fit continues on the next line. */
function columns(rows: [string, string][]): string[] {
  const first = Math.max(...rows.map(([left]) => left.length));
  return rows.flatMap(([left, right]) =>
    wrap(right, width - first - 4).map((line, index) =>
      `  ${(index === 0 ? left : "").padEnd(first)}  ${line}`
    )
  );
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
