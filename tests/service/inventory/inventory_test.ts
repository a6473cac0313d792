import assert from "node:assert/strict";
import { Inventory, type InventoryLimits } from "../../../src/service/inventory/inventory.ts";
import type {
  InventoryEntry,
  InventoryFilter,
} from "../../../src/service/inventory/inventory_entry.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { pod, start } from "../../support/service_fixture.ts";
import { comparable } from "../../support/comparable.ts";
import { countTurns } from "../../support/count_turns.ts";
import { entryOf } from "../../support/inventory_entries.ts";

function openInventory(limits: Partial<InventoryLimits> = {}) {
  const clock = new FakeClock(start);
  const scheduler = new Scheduler({ clock });
  const inventory = new Inventory({ clock, scheduler, limits });
  return {
    clock,
    scheduler,
    inventory,
    async [Symbol.asyncDispose]() {
      await inventory[Symbol.asyncDispose]();
      await scheduler[Symbol.asyncDispose]();
    },
  };
}

/** An entry that expires so many minutes after noon, of a volume of its own. */
function entry(
  serialNumber: string,
  minutes: number,
  given: Partial<InventoryEntry> = {},
): InventoryEntry {
  return {
    origin: "issued",
    serialNumber,
    pod,
    volumeId: `csi-${serialNumber}`,
    node: "node-1",
    names: { commonName: "web-0", dnsNames: ["web-0"], ipAddresses: [], uris: [] },
    notBefore: Temporal.Instant.from("2026-03-01T11:55:00Z"),
    notAfter: Temporal.Instant.from("2026-03-01T12:00:00Z").add({ minutes }),
    predecessor: undefined,
    ...given,
  };
}

async function serials(inventory: Inventory, filter: InventoryFilter = {}): Promise<string[]> {
  const pages = await Array.fromAsync(inventory.pages(filter));
  return pages.flat().map(({ serialNumber }) => serialNumber);
}

const ofPod = (uid: string) => ({ pod: { ...pod, uid } });

Deno.test("an entry is found by its serial number, its pod, its node and its namespace, as it was added", async () => {
  await using opened = openInventory();
  const { inventory } = opened;
  inventory.add(entry("a1", 10));
  inventory.add(entry("b2", 20, { node: undefined }));
  inventory.add(entry("c3", 5, { pod: { ...pod, uid: "other", namespace: "bank" } }));
  assert.deepEqual(comparable(entryOf(inventory.get("a1")!)), comparable(entry("a1", 10)));
  assert.equal(inventory.get("d4"), undefined);
  assert.deepEqual(await serials(inventory), ["c3", "a1", "b2"]);
  assert.deepEqual(await serials(inventory, { podUid: pod.uid }), ["a1", "b2"]);
  assert.deepEqual(await serials(inventory, { node: "node-1" }), ["c3", "a1"]);
  assert.deepEqual(await serials(inventory, { namespace: "bank" }), ["c3"]);
  assert.deepEqual(await serials(inventory, { namespace: "bank", podUid: pod.uid }), []);
});

Deno.test("a renewed certificate replaces the former one of its volume, which leads to it", async () => {
  await using opened = openInventory();
  const { inventory } = opened;
  const volumeId = "csi-1";
  inventory.add(entry("a1", 30, { volumeId }));
  inventory.add(entry("b2", 20, { volumeId, predecessor: "a1" }));
  assert.deepEqual(await serials(inventory), ["b2"]);
  assert.equal(inventory.get("a1"), undefined);
  assert.equal(inventory.successorOf("a1")?.serialNumber, "b2");
  // The driver did not receive the second certificate, so it renews the first one again.
  inventory.add(entry("c3", 40, { volumeId, predecessor: "a1" }));
  assert.equal(inventory.successorOf("a1")?.serialNumber, "c3");
  assert.equal(inventory.size, 1);
});

Deno.test("a predecessor that only the driver states leads to no certificate", async () => {
  await using opened = openInventory();
  const { inventory } = opened;
  inventory.add(entry("a1", 30));
  inventory.add(entry("b2", 30, { ...ofPod("other"), predecessor: "a1" }));
  assert.equal(inventory.successorOf("a1"), undefined);
  assert.deepEqual(await serials(inventory), ["a1", "b2"]);
});

Deno.test("a volume id that two pods name is a volume of each", async () => {
  await using opened = openInventory();
  const { inventory } = opened;
  inventory.add(entry("a1", 10, { volumeId: "csi-1" }));
  inventory.add(entry("b2", 10, { volumeId: "csi-1", ...ofPod("other") }));
  assert.deepEqual(await serials(inventory), ["a1", "b2"]);
});

Deno.test("a reported certificate replaces only an older one that the same node reported", async () => {
  await using opened = openInventory();
  const { inventory } = opened;
  const noon = Temporal.Instant.from("2026-03-01T12:00:00Z");
  const reported = (serialNumber: string, minutesAgo: number, node = "node-1") =>
    inventory.add(entry(serialNumber, 60, {
      origin: "reported",
      volumeId: "csi-1",
      node,
      notBefore: noon.subtract({ minutes: minutesAgo }),
    }));
  reported("a1", 30);
  reported("b2", 20);
  assert.deepEqual(await serials(inventory), ["b2"]);
  reported("c3", 40);
  reported("b2", 10, "node-2");
  assert.deepEqual(await serials(inventory), ["b2"]);
  assert.equal(inventory.get("b2")?.node, "node-1");
  reported("d4", 15, "node-2");
  assert.deepEqual(await serials(inventory), ["b2", "d4"]);
  // What this process issues is the volume's current certificate.
  inventory.add(entry("e5", 60, { volumeId: "csi-1", notBefore: noon.subtract({ minutes: 10 }) }));
  assert.deepEqual(await serials(inventory), ["e5"]);
  reported("f6", 12);
  assert.deepEqual(await serials(inventory), ["e5"]);
  // Another replica renewed it.
  reported("g7", 5);
  assert.deepEqual(await serials(inventory), ["e5", "g7"]);
  assert.equal(inventory.get("e5")?.origin, "issued");
});

Deno.test("a serial number that is issued again replaces the first entry, also of another pod", async () => {
  await using opened = openInventory();
  const { inventory } = opened;
  inventory.add(entry("a1", 10));
  inventory.add(entry("a1", 20, ofPod("other")));
  assert.equal(inventory.size, 1);
  assert.deepEqual(await serials(inventory, { podUid: pod.uid }), []);
  assert.deepEqual(await serials(inventory, { podUid: "other" }), ["a1"]);
});

Deno.test("an entry is removed when its certificate has expired, to the minute", async () => {
  await using opened = openInventory();
  const { inventory, clock } = opened;
  inventory.add(entry("a1", 10));
  inventory.add(entry("b2", 20));
  inventory.add(entry("c3", 15));
  await clock.advance({ minutes: 10 });
  assert.equal(inventory.size, 3);
  await clock.advance({ minutes: 2 });
  assert.deepEqual(await serials(inventory, { podUid: pod.uid }), ["b2", "c3"]);
  await clock.advance({ minutes: 4 });
  assert.deepEqual(await serials(inventory, { podUid: pod.uid }), ["b2"]);
  await clock.advance({ hours: 1 });
  assert.equal(inventory.size, 0);
  inventory.add(entry("d4", 100));
  await clock.advance({ hours: 1 });
  assert.equal(inventory.size, 0);
});

Deno.test("a step of the clock removes what has expired by the new time, and no more", async () => {
  await using opened = openInventory();
  const { inventory, clock } = opened;
  inventory.add(entry("a1", 10));
  inventory.add(entry("b2", 90));
  clock.set(clock.now().subtract({ hours: 2 }));
  await clock.advance({ hours: 1 });
  assert.equal(inventory.size, 2);
  clock.set(start.add({ minutes: 30 }));
  await clock.advance({ hours: 1, minutes: 2 });
  assert.equal(inventory.size, 0);
});

Deno.test("many entries that expire together are removed in parts, between which other jobs run", async () => {
  await using opened = openInventory();
  const { inventory, clock, scheduler } = opened;
  for (let count = 0; count < 2_000; count++) {
    inventory.add(entry(`a${count}`, 10, ofPod(`u${count}`)));
  }
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

Deno.test("over the limit of the whole inventory the entry that expires first is removed", async () => {
  await using opened = openInventory({ total: { certificates: 3, bytes: Infinity } });
  const { inventory } = opened;
  for (
    const [serial, minutes] of [["a", 30], ["b", 10], ["c", 20], ["d", 40], ["e", 15]] as const
  ) {
    inventory.add(entry(serial, minutes));
  }
  assert.deepEqual(await serials(inventory), ["a", "c", "d"]);
});

Deno.test("a node removes only its own entries, however many it adds", async () => {
  await using opened = openInventory({ node: { certificates: 10, bytes: Infinity } });
  const { inventory } = opened;
  inventory.add(entry("a1", 5, { node: "node-2", ...ofPod("other") }));
  inventory.add(entry("b2", 5, { node: undefined, ...ofPod("anonymous") }));
  for (let n = 0; n < 50; n++) {
    const origin = n % 2 === 0 ? "issued" : "reported";
    inventory.add(entry(`c${n}`, 60, { origin, ...ofPod(`u${n}`) }));
  }
  const newest = Array.from({ length: 10 }, (_, n) => `c${40 + n}`);
  assert.deepEqual(await serials(inventory), ["b2", "a1", ...newest]);
});

Deno.test("a pod has a bounded number of entries, the newest", async () => {
  await using opened = openInventory({ podCertificates: 10 });
  const { inventory } = opened;
  inventory.add(entry("a1", 5, ofPod("other")));
  for (let n = 0; n < 50; n++) inventory.add(entry(`c${n}`, 60, { node: undefined }));
  const newest = Array.from({ length: 10 }, (_, n) => `c${40 + n}`);
  assert.deepEqual(await serials(inventory), [...newest, "a1"]);
});

Deno.test("reports of a node remove no entry of another node's pod, however many name that pod", async () => {
  await using opened = openInventory({ podCertificates: 3 });
  const { inventory } = opened;
  const reported = (serialNumber: string, node: string) =>
    inventory.add(entry(serialNumber, 60, { origin: "reported", node }));
  inventory.add(entry("a1", 60));
  reported("b2", "node-1");
  for (let n = 0; n < 9; n++) reported(`c${n}`, "node-2");
  assert.deepEqual(await serials(inventory), ["a1", "b2", "c8"]);
  // What this process issues replaces reports first.
  for (const serialNumber of ["d4", "e5"]) inventory.add(entry(serialNumber, 60));
  assert.deepEqual(await serials(inventory), ["a1", "d4", "e5"]);
  inventory.add(entry("f6", 60));
  assert.deepEqual(await serials(inventory), ["d4", "e5", "f6"]);
  reported("g7", "node-2");
  assert.deepEqual(await serials(inventory), ["d4", "e5", "f6"]);
});

/** The longest names that a request can have. */
const longNames = {
  commonName: "n".repeat(64),
  dnsNames: Array.from({ length: 16 }, (_, n) => `${n}.${"n".repeat(250)}`),
  ipAddresses: Array.from(
    { length: 16 },
    (_, n) => `2001:db8:ffff:ffff:ffff:ffff:ffff:fff${n % 10}`,
  ),
  uris: Array.from({ length: 16 }, (_, n) => `spiffe://${n}/${"n".repeat(230)}`),
};

Deno.test("long names count: they reach the limits of bytes long before those of entries", async () => {
  await using opened = openInventory({
    total: { certificates: 10_000, bytes: 3_000_000 },
    node: { certificates: 10_000, bytes: 1_000_000 },
  });
  const { inventory } = opened;
  const add = (node: string, count: number) => {
    for (let n = 0; n < count; n++) {
      inventory.add(
        entry(`${node}-${n}`, 60, { node, names: longNames, ...ofPod(`${node}-${n}`) }),
      );
    }
  };
  inventory.add(entry("a1", 90, { node: "honest" }));
  add("node-1", 1_000);
  assert(inventory.size > 20 && inventory.size < 110, String(inventory.size));
  assert.equal((await serials(inventory)).at(-1), "node-1-999");
  for (let n = 2; n < 10; n++) add(`node-${n}`, 200);
  assert(inventory.size > 60 && inventory.size < 330, String(inventory.size));
  assert.notEqual(inventory.get("a1"), undefined);
});

Deno.test("a renewal counts the bytes of the new names, and no longer those of the former ones", async () => {
  await using opened = openInventory({ node: { certificates: 10_000, bytes: 1_000_000 } });
  const { inventory } = opened;
  const volumes = Array.from({ length: 100 }, (_, n) => n);
  const renew = (n: number, serialNumber: string, given: Partial<InventoryEntry> = {}) =>
    inventory.add(entry(serialNumber, 60, { volumeId: `csi-${n}`, ...ofPod(`u${n}`), ...given }));
  for (const n of volumes) renew(n, `a${n}`);
  for (const n of volumes) renew(n, `b${n}`, { names: longNames });
  assert(inventory.size > 20 && inventory.size < 70, String(inventory.size));
  for (const n of volumes) renew(n, `c${n}`);
  assert.equal(inventory.size, 100);
  const [oldest] = await serials(inventory);
  // The same serial number again, in the row of the same volume and in another one.
  for (let n = 0; n < 400; n++) {
    renew(200 + n % 3, n % 2 === 0 ? "same" : `d${n % 3}`, { names: longNames });
  }
  assert.notEqual(inventory.get(oldest!), undefined);
});

Deno.test("a search that finds nothing lets other work run after every slice of the table", async () => {
  await using opened = openInventory();
  const { inventory } = opened;
  for (let n = 0; n < 21_000; n++) {
    inventory.add(entry(`a${n}`, 60, { node: `node-${n % 5}`, ...ofPod(`u${n}`) }));
  }
  const filter = { namespace: pod.namespace, podName: pod.name, node: "none" };
  using turns = countTurns();
  assert.deepEqual(await serials(inventory, filter), []);
  assert(turns.now >= 10, `${turns.now} turns`);
});

Deno.test("a list has an entry for every volume, also when all are renewed while it is read", async () => {
  await using opened = openInventory();
  const { inventory } = opened;
  const volumes = Array.from({ length: 1_000 }, (_, n) => n);
  const renew = (n: number, serial: string) =>
    inventory.add(entry(serial, 60, { volumeId: `csi-${n}`, ...ofPod(`u${n}`) }));
  for (const n of volumes) renew(n, `a${n}`);
  const listed = new Set<string>();
  let pages = 0;
  for await (const page of inventory.pages()) {
    assert(page.length > 0 && page.length <= 100);
    for (const { volumeId } of page) listed.add(volumeId);
    // Once: the last volumes first, so that ids of removed rows would be used again.
    if (++pages === 4) { for (const n of volumes.toReversed()) renew(n, `b${n}`); }
  }
  assert.equal(listed.size, volumes.length);
});

Deno.test("an inventory that is closed ignores certificates and removes none", async () => {
  const opened = openInventory();
  const { inventory, scheduler, clock } = opened;
  inventory.add(entry("a1", 10));
  const list = () => inventory.listVolumes("node-1", new Set(), clock.now());
  // The second one waits for the next iteration of the event loop.
  const lists = [list(), list()];
  await inventory[Symbol.asyncDispose]();
  await Promise.all(lists);
  inventory.add(entry("b2", 10));
  await list();
  assert.equal(scheduler.size, 0);
  await clock.advance({ hours: 1 });
  assert.throws(() => inventory.get("a1"));
  await scheduler[Symbol.asyncDispose]();
});

/** What memory_child.ts measures in a process of its own: bytes for each entry that was added. */
async function bytesPerEntry(what: string, count: number): Promise<number> {
  const child = new URL("../../../scripts/bench/memory_child.ts", import.meta.url).pathname;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "-A", "--v8-flags=--expose-gc", child, what, `${count}`],
  }).output();
  return Number(new TextDecoder().decode(stdout).split(" ")[0]);
}

Deno.test("an entry with usual names costs no more memory than is counted for it", async () => {
  const each = await bytesPerEntry("inventory", 50_000);
  assert(each > 300 && each < 950, `${each} bytes each`);
});

Deno.test("removed entries make room for new ones, however many are added", async () => {
  const each = await bytesPerEntry("full-inventory", 20_000);
  assert(each < 300, `${each} bytes each`);
});
