import assert from "node:assert/strict";
import v8 from "node:v8";
import vm from "node:vm";
import { Inventory } from "../../../src/service/inventory/inventory.ts";
import type { InventoryEntry } from "../../../src/service/inventory/inventory_entry.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { pod, start } from "../../support/service_fixture.ts";
import { comparable } from "../../support/comparable.ts";

function openInventory(capacity?: number) {
  const clock = new FakeClock(start);
  const scheduler = new Scheduler({ clock });
  const inventory = new Inventory({ clock, scheduler, ...(capacity ? { capacity } : {}) });
  return { clock, scheduler, inventory };
}

function entry(serialNumber: string, minutes: number, uid = pod.uid): InventoryEntry {
  return {
    serialNumber,
    pod: { ...pod, uid },
    volumeId: "csi-1",
    node: "node-1",
    names: { commonName: "web-0", dnsNames: ["web-0"], ipAddresses: [], uris: [] },
    notBefore: Temporal.Instant.from("2026-03-01T11:55:00Z"),
    notAfter: Temporal.Instant.from("2026-03-01T12:00:00Z").add({ minutes }),
    predecessor: undefined,
  };
}

const serials = (entries: Iterable<InventoryEntry>) =>
  [...entries].map(({ serialNumber }) => serialNumber);

Deno.test("what was added is found by its serial number and by its pod, as it was", () => {
  const { inventory } = openInventory();
  inventory.add(entry("a1", 10));
  inventory.add(entry("b2", 20));
  inventory.add(entry("c3", 5, "other"));
  assert.deepEqual(comparable(inventory.get("a1")), comparable(entry("a1", 10)));
  assert.equal(inventory.get("d4"), undefined);
  assert.deepEqual(serials(inventory.ofPod(pod.uid)), ["b2", "a1"]);
  assert.deepEqual(serials(inventory.all()).sort(), ["a1", "b2", "c3"]);
  assert.equal(String(inventory.lastNotAfter(pod.uid)), "2026-03-01T12:20:00Z");
  assert.equal(inventory.lastNotAfter("nobody"), undefined);
});

Deno.test("a certificate is forgotten once it has expired", async () => {
  const { inventory, clock, scheduler } = openInventory();
  await using _scheduler = scheduler;
  inventory.add(entry("a1", 10));
  inventory.add(entry("b2", 20));
  inventory.add(entry("c3", 15));
  await clock.advance({ minutes: 10 });
  assert.equal(inventory.size, 3);
  await clock.advance({ minutes: 2 });
  assert.deepEqual(serials(inventory.ofPod(pod.uid)), ["c3", "b2"]);
  await clock.advance({ minutes: 4 });
  assert.deepEqual(serials(inventory.ofPod(pod.uid)), ["b2"]);
  await clock.advance({ hours: 1 });
  assert.equal(inventory.size, 0);
  inventory.add(entry("d4", 100));
  await clock.advance({ hours: 1 });
  assert.equal(inventory.size, 0);
});

Deno.test("over its bound the inventory drops what expires first", () => {
  const { inventory } = openInventory(3);
  for (
    const [serial, minutes] of [["a", 30], ["b", 10], ["c", 20], ["d", 40], ["e", 15]] as const
  ) {
    inventory.add(entry(serial, minutes));
  }
  assert.deepEqual(serials(inventory.all()).sort(), ["a", "c", "d"]);
  assert.deepEqual(serials(inventory.ofPod(pod.uid)), ["d", "c", "a"]);
});

Deno.test("a serial number that is added again takes the place of the first", () => {
  const { inventory } = openInventory();
  inventory.add(entry("a1", 10));
  inventory.add(entry("a1", 20, "other"));
  assert.equal(inventory.size, 1);
  assert.deepEqual(serials(inventory.ofPod(pod.uid)), []);
  assert.deepEqual(serials(inventory.ofPod("other")), ["a1"]);
});

Deno.test("many that expire together go in parts, and what else is due runs in between", async () => {
  const { inventory, clock, scheduler } = openInventory();
  await using _scheduler = scheduler;
  for (let count = 0; count < 2_000; count++) inventory.add(entry(`a${count}`, 10));
  const sizes: number[] = [];
  const look = () => {
    sizes.push(inventory.size);
    return Promise.resolve(inventory.size > 0 ? clock.now() : undefined);
  };
  scheduler.schedule("look", clock.now().add({ minutes: 11 }), look);
  await clock.advance({ minutes: 12 });
  assert.equal(inventory.size, 0);
  assert.ok(sizes.some((size) => size > 0 && size < 2_000), String(sizes));
});

Deno.test("an inventory that is full of one minute keeps its bound, and the newest", () => {
  const { inventory } = openInventory(100);
  for (let count = 0; count < 1_000; count++) inventory.add(entry(`a${count}`, 10, `u${count}`));
  assert.equal(inventory.size, 100);
  const kept = serials(inventory.all()).sort();
  assert.deepEqual(kept, Array.from({ length: 100 }, (_, n) => `a${900 + n}`));
});

Deno.test("what goes makes room for what comes, however much passes through", () => {
  const { inventory } = openInventory(1_000);
  const add = (from: number, to: number) => {
    for (let n = from; n < to; n++) inventory.add(entry(`a${n}`, n % 50, `u${n}`));
  };
  add(0, 2_000);
  const before = Deno.memoryUsage().external;
  // Far more than any of its parts has room for without growing.
  add(2_000, 80_000);
  const grown = Deno.memoryUsage().external - before;
  assert.equal(inventory.size, 1_000);
  assert.ok(grown < 1_000_000, `${grown} octets more`);
});

Deno.test("a million entries fit in 0.4 GB, by what 50,000 cost", async () => {
  const { inventory, scheduler } = openInventory();
  await using _scheduler = scheduler;
  v8.setFlagsFromString("--expose-gc");
  const collect: () => void = vm.runInNewContext("gc");
  const used = () => {
    collect();
    const { heapUsed, external } = Deno.memoryUsage();
    return heapUsed + external;
  };
  const before = used();
  for (let count = 0; count < 50_000; count++) {
    const serial = crypto.randomUUID().replaceAll("-", "");
    const name = `web-${count}.shop.svc.cluster.local`;
    inventory.add({
      ...entry(serial, count % 1000 + 10, crypto.randomUUID()),
      volumeId: `csi-${serial}${serial}`,
      names: { commonName: name, dnsNames: [name], ipAddresses: [], uris: [] },
    });
  }
  const each = (used() - before) / inventory.size;
  assert.ok(each > 50 && each < 400, `${Math.round(each)} octets each`);
});
