import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDuration, parseDuration } from "../../../src/shared/text/durations.ts";

const milliseconds = (text: string) => parseDuration(text)?.total("milliseconds");

for (
  const [text, expected] of [
    ["0", 0],
    ["-0", 0],
    ["0s", 0],
    ["10s", 10_000],
    ["90s", 90_000],
    ["1h30m", 5_400_000],
    ["+1h", 3_600_000],
    ["-5m", -300_000],
    ["500ms", 500],
    ["1.5s", 1_500],
    [".5h", 1_800_000],
    ["1.h", 3_600_000],
    ["168h", 604_800_000],
    ["1m1h", 3_660_000],
    ["1000us", 1],
    ["500\u00b5s500\u03bcs", 1],
    ["1000000ns", 1],
    ["0.001s", 1],
    ["2562047h", 2_562_047 * 3_600_000],
  ] as const
) {
  Deno.test(`the duration "${text}" is ${expected} ms`, () => {
    assert.equal(milliseconds(text), expected);
  });
}

const refused = [
  "",
  " ",
  "+",
  "-",
  "h",
  "1",
  "00",
  "1d",
  "1H",
  "1 h",
  "1h ",
  " 1h",
  "--1h",
  "1,5s",
];
const tooFine = ["1us", "1ns", "0.1ms", "0.0000000001s", "1h1ns"];
const tooLong = ["2562048h", "9".repeat(60) + "h", "1h".repeat(40), "1".repeat(10_000) + "s"];
for (
  const text of [...refused, ".", ".s", "1..5s", "1h-1m", "1h\n", "１h", ...tooFine, ...tooLong]
) {
  Deno.test(`"${text.slice(0, 30)}" is no duration`, () => {
    assert.equal(parseDuration(text), undefined);
  });
}

for (
  const [duration, expected] of [
    [{ hours: 168 }, "168h"],
    [{ days: 7 }, "168h"],
    [{ minutes: 90 }, "1h30m"],
    [{ seconds: 10 }, "10s"],
    [{ seconds: 3601 }, "1h1s"],
    [{ milliseconds: 1500 }, "1.5s"],
    [{ milliseconds: 60_001 }, "1m0.001s"],
    [{ milliseconds: 5 }, "5ms"],
    [{ minutes: -5 }, "-5m"],
    [{}, "0s"],
  ] as const
) {
  Deno.test(`a duration of ${JSON.stringify(duration)} is written "${expected}"`, () => {
    const zero = { seconds: 0, ...duration };
    assert.equal(formatDuration(Temporal.Duration.from(zero)), expected);
  });
}

Deno.test("what is written reads back as the same duration", () => {
  const span = fc.integer({ min: -9_000_000_000_000, max: 9_000_000_000_000 });
  fc.assert(fc.property(fc.oneof(span, fc.integer({ min: -70_000, max: 70_000 })), (ms) => {
    const written = formatDuration(Temporal.Duration.from({ milliseconds: ms }));
    assert.equal(milliseconds(written), ms);
  }));
});

Deno.test("no text makes the reading of a duration throw", () => {
  const fragment = fc.constantFrom("1", "0", ".", "h", "m", "s", "ms", "-", "+", "e5", "\u00b5s");
  const text = fc.oneof(fc.string(), fc.array(fragment, { maxLength: 40 }).map((x) => x.join("")));
  fc.assert(fc.property(text, (given) => {
    const duration = parseDuration(given);
    if (duration) assert.equal(milliseconds(formatDuration(duration)), milliseconds(given));
  }));
});
