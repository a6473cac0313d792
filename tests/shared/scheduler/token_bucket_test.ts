import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TokenBucket } from "../../../src/shared/scheduler/token_bucket.ts";

const taken = (bucket: TokenBucket, tries: number) =>
  Array.from({ length: tries }, () => bucket.take()).filter(Boolean).length;

Deno.test("a bucket allows its burst, and then what is added as time passes", async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ perSecond: 20, burst: 40 }, clock);
  assert.equal(taken(bucket, 100), 40);
  await clock.advance({ milliseconds: 500 });
  assert.equal(taken(bucket, 100), 10);
  await clock.advance({ hours: 1 });
  assert.equal(taken(bucket, 100), 40);
});

Deno.test("a request for more tokens than there are takes none", () => {
  const bucket = new TokenBucket({ perSecond: 1, burst: 10 }, new FakeClock());
  assert.equal(bucket.take(11), false);
  assert.equal(bucket.take(10), true);
  assert.equal(bucket.take(), false);
});

Deno.test("a wall clock that steps back neither fills a bucket nor stops it", async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ perSecond: 10, burst: 10 }, clock);
  assert.equal(taken(bucket, 20), 10);
  clock.set(clock.now().subtract({ hours: 1 }));
  assert.equal(taken(bucket, 20), 0);
  await clock.advance({ seconds: 1 });
  assert.equal(taken(bucket, 20), 10);
});
