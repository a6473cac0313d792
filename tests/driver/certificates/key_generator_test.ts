import assert from "node:assert/strict";
import { KeyGenerator } from "../../../src/driver/certificates/key_generator.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

const { signal } = new AbortController();

/** Makes each key pair in this time of the clock; the key itself is of a type that is made at once. */
function slowGenerator(clock: FakeClock, seconds: number) {
  const made: CryptoKeyPair[] = [];
  const keys = new KeyGenerator(clock, async () => {
    await new Promise<void>((resolve) => void clock.after(seconds * 1_000, resolve));
    const keyPair = await generateKeyPair("ed25519");
    made.push(keyPair);
    return keyPair;
  });
  return { keys, made };
}

Deno.test("RSA keys that wait for their turn for more than ten minutes are all made", async () => {
  const clock = new FakeClock();
  const { keys, made } = slowGenerator(clock, 30);
  using _keys = keys;
  const waiting = Array.from(
    { length: 30 },
    (_, volume) => keys.generate(`${volume}`, "rsa-2048", signal),
  );
  const results = Promise.allSettled(waiting);
  for (let count = 1; count <= 30; count++) {
    await clock.advance({ seconds: 30 });
    await clock.until(() => made.length === count);
  }
  assert.deepEqual((await results).map(({ status }) => status), waiting.map(() => "fulfilled"));
});

Deno.test("a key that no call has waited for is kept for ten minutes, for the volume's next call", async () => {
  const clock = new FakeClock();
  const { keys, made } = slowGenerator(clock, 30);
  using _keys = keys;
  const ending = new AbortController();
  const cancelled = keys.generate("a", "rsa-2048", ending.signal);
  ending.abort(new Error("the call has ended"));
  await assert.rejects(cancelled, /the call has ended/);
  await clock.advance({ seconds: 30 });
  await clock.until(() => made.length === 1);
  await clock.advance({ minutes: 9, seconds: 59 });
  assert.equal(await keys.generate("a", "rsa-2048", signal), made[0]);
  await clock.advance({ seconds: 1 });
  assert.equal(clock.timers, 0);
  const next = keys.generate("a", "rsa-2048", signal);
  await clock.advance({ seconds: 30 });
  await clock.until(() => made.length === 2);
  assert.equal(await next, made[1]);
});

Deno.test("no key is made for a volume that was removed while it waited, and the next one is", async () => {
  const clock = new FakeClock();
  const { keys, made } = slowGenerator(clock, 30);
  using _keys = keys;
  const [first, removed, last] = ["a", "b", "c"].map((volume) =>
    keys.generate(volume, "rsa-2048", signal)
  );
  const rejected = assert.rejects(removed!, /the volume was removed/);
  keys.discard("b");
  await clock.advance({ seconds: 30 });
  await clock.until(() => made.length === 1);
  await clock.advance({ seconds: 30 });
  await clock.until(() => made.length === 2);
  assert.deepEqual(await Promise.all([first, last]), made);
  await rejected;
});
