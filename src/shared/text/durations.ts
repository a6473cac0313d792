const nanosecondsPerUnit: Readonly<Record<string, bigint>> = {
  h: 3_600_000_000_000n,
  m: 60_000_000_000n,
  s: 1_000_000_000n,
  ms: 1_000_000n,
  us: 1_000n,
  "\u00b5s": 1_000n,
  "\u03bcs": 1_000n,
  ns: 1n,
};

/** Go keeps a duration in 64 signed bits of nanoseconds: about 292 years either way. */
const longest = 2n ** 63n - 1n;

/** A longer text is rejected unread, which bounds the arithmetic below. */
const longestText = 64;

const term = /(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|\u00b5s|\u03bcs|ns)/y;

/**
 * Reads a duration as Go's time.ParseDuration does ("1h30m", "1.5s", "-5m", "0").
 * Returns undefined for anything else, and for what is not a whole number of milliseconds.
 */
export function parseDuration(text: string): Temporal.Duration | undefined {
  if (text.length > longestText) return undefined;
  const unsigned = /^[+-]/.test(text) ? text.slice(1) : text;
  const nanoseconds = unsigned === "0" ? 0n : sumOfTerms(unsigned);
  if (nanoseconds === undefined || nanoseconds > longest) return undefined;
  if (nanoseconds % 1_000_000n !== 0n) return undefined;
  const milliseconds = Number(nanoseconds / 1_000_000n);
  const duration = Temporal.Duration.from({ milliseconds }).round({ largestUnit: "hours" });
  return text.startsWith("-") ? duration.negated() : duration;
}

/** Nanoseconds of "1h30m"; undefined where a term is malformed or finer than a nanosecond. */
function sumOfTerms(text: string): bigint | undefined {
  let sum = 0n;
  let end = 0;
  while (end < text.length || end === 0) {
    term.lastIndex = end;
    const [whole, amount = "", unit = ""] = term.exec(text) ?? [];
    const scale = nanosecondsPerUnit[unit];
    if (whole === undefined || scale === undefined) return undefined;
    const [units = "", fraction = ""] = amount.split(".");
    const divisor = 10n ** BigInt(fraction.length);
    const scaled = BigInt(units + fraction) * scale;
    if (scaled % divisor !== 0n) return undefined;
    sum += scaled / divisor;
    end += whole.length;
  }
  return sum;
}

/** A parser of the durations between two bounds, both included, and what it accepts in words. */
export function durationBetween(least: string, most: string) {
  const ms = (text: string) => parseDuration(text)?.total("milliseconds") ?? NaN;
  return {
    expected: `a Go-style duration from ${least} to ${most}, such as "90s" or "1h30m"`,
    parse: (text: string): Temporal.Duration | undefined =>
      ms(text) >= ms(least) && ms(text) <= ms(most) ? parseDuration(text) : undefined,
    /** The bound that a duration outside of them is nearest to; undefined for what is no duration. */
    nearest: (text: string): Temporal.Duration | undefined =>
      Number.isNaN(ms(text)) ? undefined : parseDuration(ms(text) > ms(most) ? most : least),
  };
}

export function shorter(one: Temporal.Duration, other: Temporal.Duration): Temporal.Duration {
  return Temporal.Duration.compare(one, other) <= 0 ? one : other;
}

export function longer(one: Temporal.Duration, other: Temporal.Duration): Temporal.Duration {
  return Temporal.Duration.compare(one, other) >= 0 ? one : other;
}

/** What a certificate's validity can be, in an attribute, in a policy and in the configuration. */
export const validityFormat = durationBetween("10s", "87600h");

/**
 * Writes a duration in the shortest Go style ("168h", "1h30m", "1.5s", "500ms", "0s"), to the
 * millisecond. Days count 24 hours; weeks, months and years throw RangeError.
 */
export function formatDuration(duration: Temporal.Duration): string {
  const total = Math.trunc(duration.total("milliseconds"));
  const milliseconds = Math.abs(total);
  const sign = total < 0 ? "-" : "";
  if (milliseconds === 0) return "0s";
  if (milliseconds < 1000) return `${sign}${milliseconds}ms`;
  const hours = Math.floor(milliseconds / 3_600_000);
  const minutes = Math.floor(milliseconds / 60_000) % 60;
  const seconds = (milliseconds % 60_000) / 1000;
  return sign + (hours ? `${hours}h` : "") + (minutes ? `${minutes}m` : "") +
    (seconds ? `${seconds}s` : "");
}
