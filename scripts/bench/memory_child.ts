/**
 * Bytes of memory for each of many: `volumes N` of the driver's table and schedule, `inventory N`
 * entries, or `full-inventory N` entries, each of which removes another one.
 */
import { Inventory } from "../../src/service/inventory/inventory.ts";
import { Scheduler } from "../../src/shared/scheduler/scheduler.ts";
import { VolumeTable } from "../../src/driver/volume/volume_table.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { parseAttributes } from "../../src/shared/attributes/attribute_parser.ts";

const [what, count = "1000"] = Deno.args;
const total = Number(count);
const clock = new FakeClock();
const scheduler = new Scheduler({ clock });
const at = clock.now().add({ hours: 168 });

function identity(n: number) {
  return {
    namespace: "shop",
    name: `web-7d9c5b8f6d-${n.toString(36).padStart(5, "0")}`,
    uid: crypto.randomUUID(),
    serviceAccount: "default",
  };
}

const table = new VolumeTable();
const isFull = what === "full-inventory";
const most = { certificates: isFull ? 5_000 : Infinity, bytes: Infinity };
const inventory = new Inventory({ clock, scheduler, limits: { total: most } });

function add(n: number): void {
  const pod = identity(n);
  const serialNumber = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const volumeId = `csi-${serialNumber}${serialNumber}`;
  if (what === "volumes") {
    const attributes = { duration: "24h" };
    table.set({
      volumeId,
      volumeName: "certs",
      targetPath: `/var/lib/kubelet/pods/${pod.uid}/volumes/kubernetes.io~csi/certs/mount`,
      pod,
      attributes,
      parsed: parseAttributes(attributes).understood,
      rejectionReason: undefined,
      group: undefined,
      notBefore: clock.now().subtract({ minutes: 5 }),
      issuedAt: clock.now(),
      receivedBootMs: 0,
      bootId: "boot-1",
      serialNumber,
      notAfter: at,
    });
    scheduler.schedule(volumeId, at, () => Promise.resolve(undefined));
    return;
  }
  const commonName = `${pod.name}.shop.svc.cluster.local`;
  const names = { commonName, dnsNames: [commonName, pod.name], ipAddresses: [], uris: [] };
  const times = { notBefore: clock.now(), notAfter: at, predecessor: undefined };
  inventory.add({
    origin: "issued",
    serialNumber,
    pod,
    volumeId,
    node: `node-${n % 1_000}`,
    names,
    ...times,
  });
}

/**
 * After a collection, which --expose-gc permits. The heap for volumes; for entries, which SQLite has
 * outside the heap, the memory of the whole process.
 */
function used(): number {
  (globalThis as unknown as { gc: () => void }).gc();
  const { heapUsed, external, rss } = Deno.memoryUsage();
  return what === "volumes" ? heapUsed + external : rss;
}

// The heap's growth, code and hidden classes are paid for once.
const first = what === "volumes" ? 100 : isFull ? 40_000 : 10_000;
for (let n = 0; n < first; n++) add(n);
const before = used();
for (let n = first; n < first + total; n++) add(n);
console.log((used() - before) / total, table.size + inventory.size);
await inventory[Symbol.asyncDispose]();
await scheduler[Symbol.asyncDispose]();
