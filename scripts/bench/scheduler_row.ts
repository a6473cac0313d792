import { Scheduler } from "../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { measured, type Result } from "./result.ts";
import type { Settings } from "./settings.ts";
import { interleave, ratioOf } from "./statistics.ts";

const row = 4;
/** How many volumes a sample schedules, for each size of the schedule. */
const scheduled = 100_000;

/** What the schedule of many volumes costs: to make it, and over a simulated day. */
export async function schedulerRow(settings: Settings): Promise<Result[]> {
  const sizes = [1_000, 10_000, ...settings.quick ? [] : [scheduled]];
  const rounds = settings.quick ? 3 : 5;
  const results: Result[] = [];
  const of = (work: (size: number) => Promise<number>) =>
    Object.fromEntries(sizes.map((size) => [`n${size}`, () => work(size)]));
  const volumes = manyVolumes();
  await planned(volumes, 10_000);
  // Short, and the more of them: a sample is over in tens of milliseconds.
  const planning = await interleave(3 * rounds, of((size) => planned(volumes, size)));
  const days = await interleave(rounds, of(aDay));
  for (
    const [what, samples] of [["schedule one", planning], ["one renewal of a day", days]] as const
  ) {
    const first = samples.n1000 ?? [];
    for (const size of sizes) {
      const values = samples[`n${size}`] ?? [];
      const reference = { what: "1,000 volumes", samples: first, ratio: ratioOf(values, first) };
      const against = size === 1_000 ? {} : { reference, atMost: 1.5 };
      results.push(measured(row, `${what}, ${size} volumes`, "µs", values, against));
    }
  }
  return results;
}

/** Keys and instants, made before the measurement: making an instant takes longer than scheduling it. */
function manyVolumes() {
  const now = new FakeClock().now();
  return Array.from({ length: scheduled }, (_, n) => ({
    key: `csi-${n}`,
    at: now.add({ seconds: n % 86_400 }),
  }));
}

/**
 * Microseconds to schedule one of a number of volumes.
 *
 * Every sample schedules the same volumes, shared out among schedules of that size, and keeps all of
 * them to its end: a small one alone would be over before the garbage collector first looks at it.
 */
async function planned(
  volumes: ReturnType<typeof manyVolumes>,
  size: number,
): Promise<number> {
  const clock = new FakeClock();
  const schedulers = Array.from({ length: scheduled / size }, () => new Scheduler({ clock }));
  const from = performance.now();
  for (const [n, { key, at }] of volumes.entries()) {
    schedulers[Math.floor(n / size)]?.schedule(key, at, never);
  }
  const ms = performance.now() - from;
  for (const scheduler of schedulers) await scheduler[Symbol.asyncDispose]();
  return ms * 1_000 / scheduled;
}

/** Microseconds for each run of volumes that renew once a day, with everything else that the day costs. */
async function aDay(size: number): Promise<number> {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  let runs = 0;
  for (let n = 0; n < size; n++) {
    const at = clock.now().add({ milliseconds: Math.floor(86_400_000 * n / size) });
    scheduler.schedule(`csi-${n}`, at, () => {
      runs++;
      return Promise.resolve(undefined);
    });
  }
  const from = performance.now();
  await clock.advance({ hours: 24 });
  return (performance.now() - from) * 1_000 / runs;
}

const never = () => Promise.resolve(undefined);
