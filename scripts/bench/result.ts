import { summarize, type Summary } from "./statistics.ts";

/** One line of the table. */
export interface Measured {
  readonly kind: "measured";
  /** The row of the benchmark that the line belongs to. */
  readonly row: number;
  readonly what: string;
  readonly unit: string;
  readonly value: Summary;
  /** The reference that it is compared with, measured in the same run. */
  readonly reference: { readonly what: string; readonly value: Summary } | undefined;
  readonly ratio: number | undefined;
  readonly target: { readonly text: string; readonly reached: boolean } | undefined;
}

/** What was not measured, and why. */
export interface Skipped {
  readonly kind: "skipped";
  readonly row: number;
  readonly what: string;
  readonly why: string;
}

export type Result = Measured | Skipped;

/** A line from its samples; `atLeast` and `atMost` are bounds of the ratio or, absent a reference, of the value. */
export function measured(
  row: number,
  what: string,
  unit: string,
  samples: readonly number[],
  options: {
    reference?: { what: string; samples: readonly number[]; ratio: number };
    atLeast?: number;
    atMost?: number;
  } = {},
): Measured {
  const { reference, atLeast, atMost } = options;
  const value = summarize(samples);
  const judged = reference ? reference.ratio : value.median;
  const bound = reference ? "×" : ` ${unit}`;
  const target = atLeast !== undefined
    ? { text: `≥ ${atLeast}${bound}`, reached: judged >= atLeast }
    : atMost !== undefined
    ? { text: `≤ ${atMost}${bound}`, reached: judged <= atMost }
    : undefined;
  return {
    kind: "measured",
    row,
    what,
    unit,
    value,
    reference: reference && { what: reference.what, value: summarize(reference.samples) },
    ratio: reference?.ratio,
    target,
  };
}

export function skipped(row: number, what: string, why: string): Skipped {
  return { kind: "skipped", row, what, why };
}

/** The results as aligned text under a heading. */
export function formatResults(results: readonly Result[]): string {
  const heading = ["ROW", "WHAT", "MEDIAN", "P10–P90", "UNIT", "RATIO", "REFERENCE", "TARGET"];
  const cells = results.map((result) =>
    result.kind === "skipped"
      ? [String(result.row), result.what, "–", "", "", "", `not measured: ${result.why}`, ""]
      : [
        String(result.row),
        result.what,
        short(result.value.median),
        `${short(result.value.low)}–${short(result.value.high)}`,
        result.unit,
        result.ratio === undefined ? "" : `${result.ratio.toFixed(2)}×`,
        result.reference ? `${result.reference.what}: ${short(result.reference.value.median)}` : "",
        result.target
          ? `${result.target.text} ${result.target.reached ? "reached" : "MISSED"}`
          : "",
      ]
  );
  const widths = heading.map((_, column) =>
    Math.max(...[heading, ...cells].map((row) => row[column]?.length ?? 0))
  );
  return [heading, ...cells].map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()
  ).join("\n");
}

function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}
