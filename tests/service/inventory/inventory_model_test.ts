import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { Inventory } from "../../../src/service/inventory/inventory.ts";
import type {
  InventoryEntry,
  InventoryFilter,
  VolumePresence,
} from "../../../src/service/inventory/inventory_entry.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { comparable } from "../../support/comparable.ts";
import { start } from "../../support/service_fixture.ts";
import { entryOf } from "../../support/inventory_entries.ts";

const limits = {
  total: { certificates: 12, bytes: Infinity },
  node: { certificates: 5, bytes: Infinity },
  podCertificates: 4,
};
const wholeStart = start.round({ smallestUnit: "second", roundingMode: "floor" });
const { compare } = Temporal.Instant;

interface ModelRow {
  readonly entry: InventoryEntry;
  /** The predecessor, when the model had it as a certificate of the same volume. */
  readonly knownPredecessor: string | undefined;
  presence: VolumePresence;
}

/** A complete report, or a volume that its node releases. */
interface Statement {
  readonly node: string;
  readonly volumeIds: readonly string[];
  /** Certificates that were issued later are not released. */
  readonly issuedUntil: Temporal.Instant;
  readonly released: { readonly volumeId: string; readonly serialNumber: string } | undefined;
}

/** The rules of the inventory, applied to a list that is searched as a whole: the oldest row first. */
class Model {
  rows: ModelRow[] = [];

  add(entry: InventoryEntry): void {
    const ofVolume = this.rows.filter(({ entry: { pod, volumeId } }) =>
      pod.uid === entry.pod.uid && volumeId === entry.volumeId
    );
    if (entry.origin === "reported" && this.#isKnown(entry, ofVolume)) return;
    const replaced = ofVolume.filter(({ entry: { origin, node } }) =>
      entry.origin === "issued" || origin === "reported" && node === entry.node
    );
    const { predecessor } = entry;
    const isPredecessorKnown = predecessor !== undefined &&
      replaced.some((row) =>
        row.entry.serialNumber === predecessor || row.knownPredecessor === predecessor
      );
    const added = {
      entry,
      knownPredecessor: isPredecessorKnown ? predecessor : undefined,
      presence: "unreported" as VolumePresence,
    };
    // A volume that is known keeps its place.
    const reused = replaced.find(({ entry: { pod, node } }) =>
      pod.namespace === entry.pod.namespace && pod.name === entry.pod.name && node === entry.node
    );
    // It exists again if it was released, and still does if it was listed.
    if (reused?.presence === "listed") added.presence = "listed";
    this.rows = this.rows.map((row) => row === reused ? added : row).filter((row) =>
      row === added ||
      !replaced.includes(row) && row.entry.serialNumber !== entry.serialNumber
    );
    if (reused === undefined) this.rows.push(added);
    this.#limitPod(entry);
    if (entry.node !== undefined) {
      this.#keepNewest(limits.node.certificates, (one) => one.node === entry.node);
    }
    if (this.rows.length > limits.total.certificates) {
      const [first] = this.rows.toSorted((one, other) =>
        compare(one.entry.notAfter, other.entry.notAfter) ||
        Number(one.presence === "listed") - Number(other.presence === "listed")
      );
      this.rows = this.rows.filter((row) => row !== first);
    }
  }

  #isKnown(reported: InventoryEntry, ofVolume: ModelRow[]): boolean {
    const { serialNumber, notBefore } = reported;
    return this.rows.some((row) =>
      row.entry.serialNumber === serialNumber || row.knownPredecessor === serialNumber
    ) || ofVolume.some(({ entry: { origin, node, notBefore: other } }) =>
      compare(other, notBefore) > 0 && (origin === "issued" || node === reported.node)
    );
  }

  #limitPod({ pod, origin, node }: InventoryEntry): void {
    const ofPod = this.rows.filter(({ entry }) => entry.pod.uid === pod.uid);
    if (ofPod.length <= limits.podCertificates) return;
    const reported = ofPod.filter(({ entry }) => entry.origin === "reported");
    const candidates = origin === "issued"
      ? [...reported, ...ofPod]
      : reported.filter(({ entry }) => entry.node === node);
    this.rows = this.rows.filter((row) => row !== candidates[0]);
  }

  #keepNewest(count: number, matches: (entry: InventoryEntry) => boolean): void {
    const [oldest, ...others] = this.rows.filter(({ entry }) => matches(entry));
    if (others.length >= count) this.rows = this.rows.filter((row) => row !== oldest);
  }

  expire(now: Temporal.Instant): void {
    const second = now.round({ smallestUnit: "second", roundingMode: "floor" });
    this.rows = this.rows.filter(({ entry, presence }) =>
      presence === "listed" || compare(entry.notAfter, second) >= 0
    );
  }

  state({ node, volumeIds, issuedUntil, released }: Statement): void {
    for (const row of this.rows) {
      const { volumeId, serialNumber, notBefore } = row.entry;
      if (row.entry.node !== node) continue;
      if (released) {
        const isReleased = volumeId === released.volumeId && serialNumber === released.serialNumber;
        if (isReleased) row.presence = "released";
      } else if (volumeIds.includes(volumeId)) row.presence = "listed";
      else if (compare(notBefore.add({ minutes: 5 }), issuedUntil) <= 0) row.presence = "released";
    }
  }

  find(
    { podUid, podName, node, namespace, includeReleased }: InventoryFilter,
    now: Temporal.Instant,
  ): InventoryEntry[] {
    const second = now.round({ smallestUnit: "second", roundingMode: "floor" });
    const isShown = ({ entry, presence }: ModelRow) =>
      presence === "listed" ||
      (presence === "unreported" || includeReleased === true) &&
        compare(entry.notAfter, second) >= 0;
    return this.rows.filter(isShown).map(({ entry }) => entry).filter((entry) =>
      (podUid === undefined || entry.pod.uid === podUid) &&
      (podName === undefined || entry.pod.name === podName) &&
      (node === undefined || entry.node === node) &&
      (namespace === undefined || entry.pod.namespace === namespace)
    ).toSorted((a, b) => Buffer.compare(orderKey(a), orderKey(b)));
  }
}

/** Lists are in the order of these bytes; entries of one pod keep the order in which their rows were added. */
function orderKey({ pod: { namespace, name, uid } }: InventoryEntry): Buffer {
  return Buffer.from([namespace, name, uid].join("\0"));
}

/** Few of each, so that two entries often have the same one. */
const serialNumber = fc.oneof(
  fc.constantFrom("a1", "00a1", "a", "00".repeat(20)),
  fc.integer({ min: 0, max: 15 }).map((n) => n.toString(16).padStart(32, "0")),
);
const uid = fc.constantFrom("0f8fad5b-d9cb-469f-a165-70867728950e", "static-pod", "a".repeat(128));
const volumeId = fc.constantFrom("csi-1", "csi-2", "csi-3", "csi-4", "csi-5", "CSI-1");
const node = fc.option(fc.constantFrom("node-1", "node-2", "node-3"), { nil: undefined });
const text = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("web-0", "shop") },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme" }) },
  { weight: 1, arbitrary: fc.constantFrom("", "' OR 1=1 --", "%", "NULL", "x".repeat(40_000)) },
);
/** As objects are made elsewhere, so that they compare. */
const plain = { noNullPrototype: true };

const entry: fc.Arbitrary<InventoryEntry> = fc.record({
  origin: fc.constantFrom("issued", "issued", "reported"),
  serialNumber,
  pod: fc.record({ namespace: text, name: text, uid, serviceAccount: text }, plain),
  volumeId,
  node,
  predecessor: fc.option(serialNumber, { nil: undefined }),
  age: fc.integer({ min: 0, max: 5 }),
  minutes: fc.integer({ min: 0, max: 30 }),
  names: fc.array(text, { maxLength: 3 }),
}, plain).map(({ age, minutes, names, ...rest }) => ({
  ...rest,
  names: { commonName: names[0] ?? "", dnsNames: names, ipAddresses: names.slice(1), uris: names },
  notBefore: wholeStart.subtract({ minutes: age }),
  notAfter: wholeStart.add({ minutes }),
}));

const statement: fc.Arbitrary<Statement> = fc.record({
  node: fc.constantFrom("node-1", "node-2", "node-3"),
  volumeIds: fc.uniqueArray(volumeId),
  issuedUntil: fc.integer({ min: -6, max: 6 }).map((minutes) => wholeStart.add({ minutes })),
  released: fc.option(fc.record({ volumeId, serialNumber }), { nil: undefined }),
});

/** An entry that is added, what a node states, or minutes that pass. */
type Step = InventoryEntry | Statement | number;

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: entry },
  { weight: 3, arbitrary: statement },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 8 }) },
);

async function found(inventory: Inventory, filter: InventoryFilter): Promise<InventoryEntry[]> {
  return (await Array.fromAsync(inventory.pages(filter))).flat().map(entryOf);
}

async function requireEqual(
  inventory: Inventory,
  model: Model,
  steps: readonly Step[],
  now: Temporal.Instant,
) {
  const requireFound = async (filter: InventoryFilter) =>
    assert.deepEqual(
      comparable(await found(inventory, filter)),
      comparable(model.find(filter, now)),
    );
  await requireFound({});
  await requireFound({ includeReleased: true });
  for (const one of steps) {
    if (typeof one === "number" || !("serialNumber" in one)) continue;
    const { pod, node, serialNumber } = one;
    const filters = [
      { podUid: pod.uid },
      { podName: pod.name },
      { node, namespace: pod.namespace },
      { podName: pod.name, namespace: pod.namespace, node },
      { namespace: pod.namespace, includeReleased: true },
    ];
    for (const filter of filters) await requireFound(filter);
    const stored = inventory.get(serialNumber);
    const current = model.rows.find((row) => row.entry.serialNumber === serialNumber);
    assert.deepEqual(comparable(stored && entryOf(stored)), comparable(current?.entry));
    assert.equal(stored?.presence, current?.presence);
    const successors = model.rows.filter((row) => row.knownPredecessor === serialNumber);
    const successor = inventory.successorOf(serialNumber);
    assert(
      successor === undefined
        ? successors.length === 0
        : successors.some((row) => row.entry.serialNumber === successor.serialNumber),
    );
  }
}

async function state(inventory: Inventory, statement: Statement): Promise<void> {
  const { node, volumeIds, issuedUntil, released } = statement;
  if (released) inventory.releaseVolume(node, released.volumeId, released.serialNumber);
  else await inventory.listVolumes(node, new Set(volumeIds), issuedUntil);
}

Deno.test("after any additions, renewals, reports and expiries the inventory holds what a plain list would", async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    const clock = new FakeClock(start);
    await using scheduler = new Scheduler({ clock });
    await using inventory = new Inventory({ clock, scheduler, limits });
    const model = new Model();
    for (const one of steps) {
      if (typeof one === "number") await clock.advance({ minutes: one });
      else if ("serialNumber" in one) {
        inventory.add(one);
        model.add(one);
      } else {
        await state(inventory, one);
        model.state(one);
      }
      // The inventory removes expired entries once a minute, from the first certificate on.
      if (typeof one === "number") model.expire(clock.now());
      assert.equal(inventory.size, model.rows.length);
    }
    await requireEqual(inventory, model, steps, clock.now());
  }));
});
