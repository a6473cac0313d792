/** The table that the suite prints, one line for each row. */
import type { Row } from "./row.ts";
import type { Observation } from "./verdict.ts";

export interface RowResult {
  readonly row: Row;
  /** "slow": only a time was exceeded, which another machine may not show. */
  readonly verdict: "passed" | "slow" | "failed" | "skipped";
  readonly seen?: Observation | undefined;
  /** Why it failed or was skipped; else what the attack did. */
  readonly text: string;
}

const columns: readonly (readonly [title: string, width: number])[] = [
  ["verdict", 7],
  ["exit", 4],
  ["MiB", 5],
  ["lag ms", 6],
  ["calls", 9],
  ["new conns", 9],
  ["p99 ms", 6],
  ["livez", 6],
  ["row", 0],
];

export function tableHead(): string {
  return line(columns.map(([title]) => title));
}

export function tableLine({ row, verdict, seen, text }: RowResult): string {
  const name = `${row.name} (${row.position}, ${row.target})`;
  const honest = seen?.honest;
  return line([
    verdict,
    seen === undefined ? "" : seen.exitCode === undefined ? "-" : String(seen.exitCode),
    number(seen?.memoryMiB),
    number(seen?.lag?.upToMs),
    honest === undefined ? "" : `${honest.failed}/${honest.calls}`,
    honest === undefined ? "" : `${honest.connectionsFailed}/${honest.connections}`,
    number(honest?.p99Ms),
    number(honest?.livezP99Ms),
    text === "" ? name : `${name}: ${text}`,
  ]);
}

function line(cells: readonly string[]): string {
  return cells.map((cell, index) => {
    const width = columns[index]?.[1] ?? 0;
    return index < 1 || width === 0 ? cell.padEnd(width) : cell.padStart(width);
  }).join("  ");
}

function number(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "";
  return value === Infinity ? "inf" : String(Math.round(value));
}
