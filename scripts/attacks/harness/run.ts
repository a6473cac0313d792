/** Runs rows one after the other, each against the program that it is for, and prints the table. */
import { shareMounts } from "../../support/shared_mount.ts";
import { mountsBelow } from "../../demo/test_environment.ts";
import type { HonestSummary } from "../honest/calls.ts";
import { AttackedDrivers } from "./driver_row.ts";
import { absenceOf, isPresent } from "./parts.ts";
import { AttackFailure, budgetOf, InconclusiveFailure, type Row, type Skipped } from "./row.ts";
import { AttackedService, type Authentication } from "../programs/service.ts";
import { measureQuiet, type RunOutcome, runServiceRow } from "./service_row.ts";
import { type RowResult, tableHead, tableLine } from "./table.ts";
import {
  closingLine,
  type Expectation,
  expectations,
  isOnlySlow,
  isWorthRepeating,
  memoryLimitMiB,
  violations,
} from "./verdict.ts";
import { errorMessage } from "../../../src/shared/text/error_message.ts";

const longestReason = 1_000;
/** How long one attack lasts. */
const rowMs = { quick: 700, long: 20_000 };

interface Settings {
  readonly ms: number;
  /** Whether a row fails that was slow each time, and nothing else. */
  readonly isStrict: boolean;
  readonly directory: string;
}

/** Returns the closing line and how many rows failed. */
export async function runRows(
  rows: readonly Row[],
  { isLong, isStrict }: { isLong: boolean; isStrict: boolean },
): Promise<{ line: string; failed: number }> {
  const directory = await Deno.makeTempDir({ prefix: "atk-" });
  const sharing = shareMounts(directory);
  const settings = { ms: isLong ? rowMs.long : rowMs.quick, isStrict, directory };
  const results: RowResult[] = [];
  const began = performance.now();
  console.log(tableHead());
  try {
    for (const target of ["mtls", "kubernetes", "driver", "own"] as const) {
      const ofTarget = rows.filter((row) => row.target === target);
      for await (const result of runTarget(ofTarget, target, settings)) {
        console.log(tableLine(result));
        results.push(result);
      }
    }
  } finally {
    await clear(directory, sharing);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(`${results.length} rows in ${seconds} s, load ${Deno.loadavg()[0]?.toFixed(1)}`);
  const count = (verdict: RowResult["verdict"]) =>
    results.filter((result) => result.verdict === verdict).length;
  const failed = count("failed");
  const slow = count("slow");
  if (slow > 0) console.log(`${slow} passed but for a time (--strict fails them)`);
  return { line: closingLine(count("passed") + slow, failed, count("skipped")), failed };
}

/** Removes the run's directory, what drivers mounted below it first. */
async function clear(directory: string, sharing: Disposable): Promise<void> {
  for (const path of (await mountsBelow(directory)).reverse()) {
    await new Deno.Command("umount", { args: ["--lazy", path], stderr: "null" }).output();
  }
  sharing[Symbol.dispose]();
  await Deno.remove(directory, { recursive: true });
}

async function* runTarget(
  rows: readonly Row[],
  target: Row["target"],
  settings: Settings,
): AsyncGenerator<RowResult> {
  const runnable: Row[] = [];
  for (const row of rows) {
    if (row.needs === undefined || isPresent(row.needs)) runnable.push(row);
    else yield { row, verdict: "skipped", text: absenceOf(row.needs) };
  }
  if (runnable.length === 0) return;
  if (target === "mtls" || target === "kubernetes") {
    yield* runServiceRows(runnable, target, settings);
  } else if (target === "driver") {
    yield* runDriverRows(runnable, settings);
  } else {
    yield* runOwnRows(runnable, settings);
  }
}

async function* runDriverRows(
  rows: readonly Row[],
  { ms, isStrict, directory }: Settings,
): AsyncGenerator<RowResult> {
  await using service = await AttackedService.prepare("mtls", `${directory}/driver-service`);
  await using drivers = new AttackedDrivers(service, `${directory}/drivers`);
  for (const row of rows) {
    if (row.target !== "driver") continue;
    const limits = { memoryMiB: memoryLimitMiB.driver };
    const attempt = (patience: number) => drivers.run(row, { ms: ms * patience });
    yield await judged(row, attempt, { limits, isStrict });
  }
}

/** Rows that start what they need; their verdict is their own. */
async function* runOwnRows(
  rows: readonly Row[],
  { ms, directory }: Settings,
): AsyncGenerator<RowResult> {
  let count = 0;
  for (const row of rows) {
    if (row.target !== "own") continue;
    // Short: a socket's path has at most 107 bytes.
    yield await tried(row, async (patience) => {
      const folder = `${directory}/o${count++}`;
      await Deno.mkdir(folder);
      return await row.run(folder, budgetOf(ms * patience)) ?? "";
    });
  }
}

async function tried(
  row: Row,
  run: (patience: number) => Promise<string | Skipped>,
): Promise<RowResult> {
  for (let attempt = 1;; attempt++) {
    try {
      const outcome = await run(morePatience ** (attempt - 1));
      if (typeof outcome === "string") return { row, verdict: "passed", text: outcome };
      return { row, verdict: "skipped", text: outcome.skipped };
    } catch (error) {
      if (attempt === attempts || isFact(error)) {
        return { row, verdict: "failed", text: reasonOf(error) };
      }
    }
  }
}

/** What a busy machine cannot cause. */
function isFact(error: unknown): boolean {
  return error instanceof AttackFailure && !(error instanceof InconclusiveFailure);
}

/** A program that does not start fails the rows that need it. */
function reasonOf(error: unknown): string {
  if (error instanceof AttackFailure) return error.message;
  const text = errorMessage(error);
  return `could not be run: ${text.slice(0, longestReason)}`;
}

/** A busy machine must not fail a row: what took too long is tried again. */
const attempts = 3;
/** An attack that was inconclusive has so many times the time of the attempt before. */
const morePatience = 3;

async function judged(
  row: Row,
  run: (patience: number) => Promise<RunOutcome>,
  { limits, isStrict }: { limits?: Partial<Expectation>; isStrict: boolean },
): Promise<RowResult> {
  let patience = 1;
  for (let attempt = 1;; attempt++) {
    const outcome = await run(patience).catch((error: unknown) => ({ error }));
    if ("error" in outcome) {
      const { error } = outcome;
      if (attempt < attempts && !isFact(error)) continue;
      return { row, verdict: "failed", text: reasonOf(error) };
    }
    const { seen, note, skipped } = outcome;
    const found = violations({ ...expectations[row.position], ...limits, ...row.expects }, seen);
    if (found.length === 0 && skipped !== undefined) {
      return { row, verdict: "skipped", text: skipped };
    }
    if (found.length === 0) return { row, seen, verdict: "passed", text: note };
    if (attempt < attempts && isWorthRepeating(found)) {
      if (seen.isInconclusive) patience *= morePatience;
      continue;
    }
    const failure = seen.honest?.failure;
    const reasons = [
      ...found.map(({ sentence }) => sentence),
      ...note === "" ? [] : [note],
      ...failure === undefined ? [] : [`honest callers met: ${failure}`],
    ];
    const verdict = isOnlySlow(found) && !isStrict ? "slow" : "failed";
    return { row, seen, verdict, text: reasons.join("; ") };
  }
}

async function* runServiceRows(
  rows: readonly Row[],
  authentication: Authentication,
  { ms, isStrict, directory }: Settings,
): AsyncGenerator<RowResult> {
  await using service = await AttackedService.prepare(
    authentication,
    `${directory}/${authentication}`,
  );
  const quiet = await measureQuiet(service).catch((error) => reasonOf(error));
  if (typeof quiet === "string") {
    for (const row of rows) yield { row, verdict: "failed", text: quiet };
    return;
  }
  console.log(quietLine(authentication, quiet));
  for (const row of rows) {
    if (row.target !== "mtls" && row.target !== "kubernetes") continue;
    const attempt = (patience: number) =>
      runServiceRow(row, service, { ms: ms * patience, quietP99Ms: quiet.p99Ms });
    yield await judged(row, attempt, { isStrict });
  }
}

function quietLine(authentication: Authentication, quiet: HonestSummary): string {
  return `quiet with AUTHENTICATION=${authentication}: ` +
    `${quiet.failed}/${quiet.calls} calls failed, p99 ${Math.round(quiet.p99Ms)} ms, ` +
    `/livez p99 ${Math.round(quiet.livezP99Ms)} ms` +
    (quiet.failure === undefined ? "" : ` (${quiet.failure})`);
}
