import assert from "node:assert/strict";
import fc from "fast-check";
import { Inventory } from "../../../src/service/inventory/inventory.ts";
import type { InventoryEntry } from "../../../src/service/inventory/inventory_entry.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { start } from "../../support/service_fixture.ts";

const capacity = 12;
const minute = (at: Temporal.Instant) => Math.floor(at.epochMilliseconds / 60_000);
const whole = start.round({ smallestUnit: "second", roundingMode: "floor" });

/** The same promises, kept by a list that is searched: the oldest entry first. */
class Model {
  entries: InventoryEntry[] = [];

  add(entry: InventoryEntry): void {
    this.entries = this.entries.filter(({ serialNumber }) => serialNumber !== entry.serialNumber);
    this.entries.push(entry);
    if (this.entries.length <= capacity) return;
    const first = Math.min(...this.entries.map(({ notAfter }) => minute(notAfter)));
    const goes = this.entries.find(({ notAfter }) => minute(notAfter) === first);
    this.entries = this.entries.filter((one) => one !== goes);
  }

  expire(now: Temporal.Instant): void {
    this.entries = this.entries.filter(({ notAfter }) => minute(notAfter) >= minute(now));
  }

  ofPod(uid: string): InventoryEntry[] {
    return this.entries.filter(({ pod }) => pod.uid === uid).reverse();
  }
}

/** Few of each, so that they meet; and of every form that is kept in a way of its own. */
const serialNumber = fc.oneof(
  fc.constantFrom("a1", "00a1", "a", "", "A1", "0g", "00".repeat(20), "csi-a1"),
  fc.integer({ min: 0, max: 15 }).map((n) => n.toString(16).padStart(32, "0")),
);
const uid = fc.constantFrom(
  "0f8fad5b-d9cb-469f-a165-70867728950e",
  "0f8fad5bd9cb469fa16570867728950e",
  "0f8fad5b-d9cb-469f-a165-70867728950E",
  "0f8fad5b-d9cb-469f-a16570867728950e-",
  "static-pod",
  "",
);
const volumeId = fc.oneof(
  fc.constantFrom("csi-", "csi-1", "csi-12", `csi-${"ab".repeat(32)}`, "x"),
  fc.string(),
);
/** As objects are made elsewhere, so that they compare. */
const plain = { noNullPrototype: true };
const text = fc.oneof(fc.constantFrom("web-0", "shop", ""), fc.string({ unit: "grapheme" }));

const entry: fc.Arbitrary<InventoryEntry> = fc.record({
  serialNumber,
  pod: fc.record({ namespace: text, name: text, uid, serviceAccount: text }, plain),
  volumeId,
  node: fc.option(text, { nil: undefined }),
  predecessor: fc.option(serialNumber, { nil: undefined }),
  minutes: fc.integer({ min: 0, max: 30 }),
  names: fc.array(text, { maxLength: 3 }),
  long: fc.constantFrom(0, 127, 128, 40_000),
}, plain).map(({ minutes, names, long, ...rest }) => {
  const { name, namespace } = rest.pod;
  const commonName = `${name}.${namespace}.svc.cluster.local`;
  return {
    ...rest,
    names: {
      commonName: names[0] ?? commonName,
      dnsNames: [commonName, name, ...names],
      ipAddresses: names.slice(1),
      uris: [`spiffe://cluster.local/${"x".repeat(long)}`, `${name}.${namespace}.`],
    },
    notBefore: whole.subtract({ minutes: 5 }),
    notAfter: whole.add({ minutes }),
  };
});

const step = fc.oneof(
  { weight: 6, arbitrary: entry },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 8 }) },
);

/** With instants as text, because two of them always compare as equal. */
const told = (entries: Iterable<InventoryEntry>) =>
  [...entries].map((one) => ({
    ...one,
    notBefore: String(one.notBefore),
    notAfter: String(one.notAfter),
  }));
const sorted = (entries: Iterable<InventoryEntry>) =>
  told(entries).sort((one, other) => one.serialNumber < other.serialNumber ? -1 : 1);

Deno.test("whatever is added and however the time passes, the inventory holds what a plain list would", async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    const clock = new FakeClock(start);
    await using scheduler = new Scheduler({ clock });
    const inventory = new Inventory({ clock, scheduler, capacity });
    const model = new Model();
    let isPlanned = false;
    for (const one of steps) {
      if (typeof one === "number") {
        // It looks once a minute, from the first certificate on.
        await clock.advance({ minutes: one });
        if (isPlanned) model.expire(clock.now());
      } else {
        inventory.add(one);
        model.add(one);
        isPlanned = true;
      }
      assert.equal(inventory.size, model.entries.length);
    }
    assert.deepEqual(sorted(inventory.all()), sorted(model.entries));
    for (const { serialNumber } of steps.filter((one) => typeof one !== "number")) {
      const expected = model.entries.filter((one) => one.serialNumber === serialNumber);
      assert.deepEqual(told([inventory.get(serialNumber) ?? []].flat()), told(expected));
    }
    for (const { pod } of steps.filter((one) => typeof one !== "number")) {
      assert.deepEqual(told(inventory.ofPod(pod.uid)), told(model.ofPod(pod.uid)));
      const last = model.ofPod(pod.uid).map(({ notAfter }) => notAfter.epochMilliseconds);
      const expected = last.length === 0 ? undefined : Math.max(...last);
      assert.equal(inventory.lastNotAfter(pod.uid)?.epochMilliseconds, expected);
    }
  }));
});
