import assert from "node:assert/strict";
import fc from "fast-check";
import { toJsonValue } from "../../../src/shared/telemetry/plain_value.ts";

Deno.test("values that JSON cannot express become text", async () => {
  class Empty {
    readonly #secret = 1;
    get secret() {
      return this.#secret;
    }
  }
  const { privateKey } = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
  ]) as CryptoKeyPair;
  const table: [unknown, unknown][] = [
    [undefined, undefined],
    [null, null],
    [2n ** 64n, "18446744073709551616"],
    [NaN, "NaN"],
    [-Infinity, "-Infinity"],
    [Symbol("mark"), "Symbol(mark)"],
    [function named() {}, "[function named]"],
    [Temporal.Instant.from("2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z"],
    [Temporal.Duration.from({ hours: 168 }), "PT168H"],
    [Temporal.PlainDate.from("2026-01-01"), "2026-01-01"],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [new Date(NaN), null],
    [new URL("https://example.com/a"), "https://example.com/a"],
    [new Set([1, "two"]), [1, "two"]],
    [new Map([["a", 1n]]), { a: "1" }],
    [{ a: [undefined, { b: undefined }] }, { a: [null, {}] }],
    [new Empty(), "[Empty]"],
    [privateKey, "[CryptoKey]"],
    [Object.create(null), {}],
    [JSON.parse('{"__proto__": 1}'), JSON.parse('{"__proto__": 1}')],
  ];
  for (const [value, expected] of table) assert.deepEqual(toJsonValue(value), expected);
});

Deno.test("of bytes only the number is logged, because they may be a key", () => {
  assert.equal(toJsonValue(new Uint8Array(32)), "[32 bytes]");
  assert.equal(toJsonValue(new ArrayBuffer(8)), "[8 bytes]");
  assert.deepEqual(toJsonValue({ der: new TextEncoder().encode("key") }), { der: "[3 bytes]" });
});

Deno.test("an error is its name, message and code, with all that caused it", () => {
  const root = Object.assign(new TypeError("no route"), { code: "EHOSTUNREACH" });
  const error = new Error("cannot renew", { cause: new RangeError("late", { cause: root }) });
  assert.deepEqual(toJsonValue(error), {
    name: "Error",
    message: "cannot renew",
    cause: {
      name: "RangeError",
      message: "late",
      cause: { name: "TypeError", message: "no route", code: "EHOSTUNREACH" },
    },
  });
  assert.deepEqual(toJsonValue(new AggregateError([new Error("one"), 2], "several")), {
    name: "AggregateError",
    message: "several",
    errors: [{ name: "Error", message: "one" }, 2],
  });
});

Deno.test("what holds itself, has no end or cannot be read is cut short", () => {
  const circle: Record<string, unknown> = { name: "circle" };
  circle["self"] = circle;
  assert.deepEqual(toJsonValue(circle), { name: "circle", self: "[circular]" });
  const error = new Error("own cause");
  error.cause = error;
  assert.deepEqual(toJsonValue(error), {
    name: "Error",
    message: "own cause",
    cause: "[circular]",
  });
  const twice = { a: 1 };
  assert.deepEqual(toJsonValue([twice, twice]), [twice, twice], "twice is no circle");
  const endless = () => ({ toJSON: endless });
  assert.match(JSON.stringify(toJsonValue(endless())), /…/);
  const broken = {
    get a(): number {
      throw new Error("broken");
    },
  };
  assert.equal(toJsonValue(broken), "[unreadable]");
});

Deno.test("secrets are redacted in values, keys, and errors at any depth", () => {
  const secret = "-----BEGIN PRIVATE KEY-----\nAAAA";
  const value = {
    list: [secret],
    map: new Map([[secret, secret]]),
    error: new Error("outer", { cause: new Error(secret) }),
    [secret]: 1,
  };
  assert.doesNotMatch(JSON.stringify(toJsonValue(value)), /PRIVATE|AAAA/);
});

Deno.test("whatever the value, JSON can express the plain one", () => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withTypedArray: true,
    withSparseArray: true,
  });
  fc.assert(
    fc.property(anything, (value) => {
      const plain = toJsonValue(value);
      if (plain === undefined) return;
      const again = toJsonValue(JSON.parse(JSON.stringify(plain)));
      assert.deepEqual(JSON.stringify(again), JSON.stringify(plain));
    }),
  );
});
