/** Bytes of memory for each of many: `volumes N` of the driver's table and schedule, or `inventory N` entries. */
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
const inventory = new Inventory({ clock, scheduler });

function add(n: number): void {
  const pod = identity(n);
  const serialNumber = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const volumeId = `csi-${serialNumber}${serialNumber}`;
  if (what === "volumes") {
    const attributes = { duration: "24h" };
    const parsed = parseAttributes(attributes);
    if (parsed.kind === "refused") throw new Error("the attributes are refused");
    table.set({
      volumeId,
      volumeName: "certs",
      targetPath: `/var/lib/kubelet/pods/${pod.uid}/volumes/kubernetes.io~csi/certs/mount`,
      pod,
      attributes,
      parsed: parsed.attributes,
      group: undefined,
      issuedAt: clock.now(),
      serialNumber,
      notAfter: at,
    });
    scheduler.schedule(volumeId, at, () => Promise.resolve(undefined));
    return;
  }
  const commonName = `${pod.name}.shop.svc.cluster.local`;
  const names = { commonName, dnsNames: [commonName, pod.name], ipAddresses: [], uris: [] };
  const times = { notBefore: clock.now(), notAfter: at, predecessor: undefined };
  inventory.add({ serialNumber, pod, volumeId, node: "node-1", names, ...times });
}

/** Bytes on the heap and in array buffers after a collection, which --expose-gc permits. */
function used(): number {
  (globalThis as unknown as { gc: () => void }).gc();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

// Code and hidden classes are paid for once.
for (let n = 0; n < 100; n++) add(n);
const before = used();
for (let n = 0; n < total; n++) add(n);
console.log((used() - before) / total, table.size + inventory.size);
await scheduler[Symbol.asyncDispose]();
