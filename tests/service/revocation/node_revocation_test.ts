import assert from "node:assert/strict";
import { MemoryDocument } from "../../../src/service/documents/memory_document.ts";
import { DenialStore } from "../../../src/service/revocation/denial_store.ts";
import { NodeRevocation } from "../../../src/service/revocation/node_revocation.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

const start = Temporal.Instant.from("2026-03-01T12:00:00.750Z");

function open(longestLifetime: Temporal.DurationLike | undefined, minutes: number) {
  const clock = new FakeClock(start);
  const scheduler = new Scheduler({ clock });
  const store = new DenialStore({ document: new MemoryDocument(), scheduler, clock });
  const backdating = { minutes };
  const revocation = new NodeRevocation({ clock, store, backdating, longestLifetime });
  /** Whether a certificate is denied that node-1 received at this time. */
  const denies = (madeAt: Temporal.Instant) =>
    revocation.isDenied("node-1", madeAt.subtract(backdating));
  return { clock, store, revocation, denies };
}

/** Where the service issues the nodes' certificates. */
const openOwn = () => open({ hours: 2 }, 5);
/** Where another CA issues them (AUTHENTICATION=mtls). */
const openForeign = () => open(undefined, 0);

Deno.test("certificates issued before the revocation are denied, those issued after it are not", async () => {
  const { revocation, denies } = openOwn();
  assert.equal(denies(start), false);
  await revocation.revoke("node-1");
  for (const hours of [0, 1, 2]) assert.equal(denies(start.subtract({ hours })), true);
  assert.equal(denies(start.add({ minutes: 1 })), false);
  assert.equal(revocation.isDenied("node-2", start.subtract({ hours: 1 })), false);
});

Deno.test("a certificate by a replica whose clock is a minute ahead is denied as well", async () => {
  const { revocation, denies } = openOwn();
  await revocation.revoke("node-1");
  assert.equal(denies(start.add({ seconds: 59 })), true);
});

Deno.test("a second revocation denies what the node received since the first", async () => {
  const { clock, revocation, denies } = openOwn();
  await revocation.revoke("node-1");
  await clock.advance({ minutes: 30 });
  assert.equal(denies(start.add({ minutes: 20 })), false);
  await revocation.revoke("node-1");
  assert.equal(denies(start.add({ minutes: 20 })), true);
});

Deno.test("a revocation calls back, so that open connections are verified again", async () => {
  const { revocation } = openOwn();
  let calls = 0;
  const subscription = revocation.onChange(() => calls++);
  await revocation.revoke("node-1");
  assert.equal(calls, 1);
  subscription[Symbol.dispose]();
  await revocation.revoke("node-1");
  assert.equal(calls, 1);
});

Deno.test("a denial is kept for the longest lifetime, and permanently where another CA issues certificates", async () => {
  const own = openOwn();
  await own.revocation.revoke("node-1");
  const forgetAt = own.store.getNode("node-1")?.forgetAt;
  assert.equal(String(forgetAt), String(start.add({ hours: 2, minutes: 5 })));
  await own.clock.advance({ hours: 3 });
  await own.revocation.revoke("node-2");
  assert.equal(own.store.getNode("node-1"), undefined);

  const foreign = openForeign();
  await foreign.revocation.revoke("node-1");
  await foreign.clock.advance({ hours: 24 * 3650 });
  await foreign.revocation.revoke("node-2");
  assert.equal(foreign.denies(start.subtract({ hours: 24 * 300 })), true);
});
