import assert from "node:assert/strict";
import type { Moment } from "../../../src/shared/scheduler/clock.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import type { IssueResult } from "../../../src/driver/certificates/certificate_requester.ts";
import type { VolumeRecord } from "../../../src/driver/volume/volume_record.ts";
import { Renewer } from "../../../src/driver/volume/renewer.ts";
import { renewalDueInMs, renewalSpread } from "../../../src/driver/certificates/renewal_time.ts";
import type { Mounter } from "../../../src/driver/volume/mounter.ts";
import { VolumeWriter } from "../../../src/driver/volume/volume_writer.ts";
import { VolumeTable } from "../../../src/driver/volume/volume_table.ts";
import type { Certificate } from "../../../src/shared/x509/certificate.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { memoryStore } from "../../support/memory_store.ts";
import { volume } from "../records/sample_record.ts";

const volumes = 10_000;
const lifetimes = ["720h", "2160h", "8760h"];

Deno.test("10,000 volumes over a year are each renewed when due: none late, none twice, at most 32 at once", async () => {
  const clock = new FakeClock();
  const start = clock.now();
  await using scheduler = new Scheduler({ clock });
  const table = new VolumeTable();
  const renewals = new Map<string, number>();
  let atOnce = 0;
  let mostAtOnce = 0;
  const lifetimeOf = ({ attributes }: Pick<VolumeRecord, "attributes">) =>
    Temporal.Duration.from({ hours: parseInt(attributes.duration ?? "") });
  // Nothing is mounted but the kubelet has every volume: each run issues, none reads a certificate.
  const mounter: Mounter = {
    kind: "plain",
    state: () => Promise.resolve("absent"),
    publish: () => Promise.resolve(),
    replace: () => Promise.resolve(),
    read: (_path, names) => Promise.resolve(names.map(() => undefined)),
    unpublish: () => Promise.resolve(),
    mounted: () => [],
    rejectionReason: () => Promise.resolve(undefined),
  };
  const renewer = new Renewer({
    clock,
    scheduler,
    table,
    mounter,
    store: memoryStore,
    writer: new VolumeWriter({ mounter, store: memoryStore, table, clock }),
    random: () => 1,
    kubelet: { hasVolume: () => Promise.resolve(true) },
    onRenewal: () => {},
    requester: {
      issue: async (parameters): Promise<IssueResult> => {
        const record = table.get(parameters.volumeId);
        assert.ok(record);
        const now = clock.now();
        const lateMs = -renewalDueInMs(
          record,
          undefined,
          renewalSpread(parameters.volumeId),
          clock.moment(),
        );
        assert.ok(lateMs >= 0 && lateMs < 1_000, `${parameters.volumeId} is ${lateMs} ms late`);
        assert.equal(parameters.predecessor, record.serialNumber, "not renewed meanwhile");
        mostAtOnce = Math.max(mostAtOnce, ++atOnce);
        await Promise.resolve();
        atOnce--;
        const count = (renewals.get(parameters.volumeId) ?? 0) + 1;
        renewals.set(parameters.volumeId, count);
        return issuedPair(clock.moment(), now.add(lifetimeOf(parameters)), String(count));
      },
    },
  });
  for (let index = 0; index < volumes; index++) {
    const attributes = { duration: lifetimes[index % lifetimes.length]! };
    const notAfter = start.add(lifetimeOf({ attributes }));
    const volumeId = `csi-${index}`;
    const record = volume({ volumeId, attributes, issuedAt: start, serialNumber: "0", notAfter });
    table.set(record);
    renewer.schedule(record);
  }
  await clock.advance({ hours: 24 * 365 });
  for (const record of table.all()) {
    const lifetime = lifetimeOf(record).total("hours");
    const spread = renewalSpread(record.volumeId);
    const expected = Math.floor(24 * 365 / (lifetime * (0.8 + 0.04 * spread)));
    const count = renewals.get(record.volumeId) ?? 0;
    // Whole milliseconds add up over a year: at the very end one more or less is right.
    assert.ok(Math.abs(count - expected) <= 1, `${record.volumeId}: ${count}, not ${expected}`);
    assert.ok(Temporal.Instant.compare(record.notAfter, clock.now()) > 0, "none has expired");
  }
  assert.ok(mostAtOnce <= 32, `${mostAtOnce} at once`);
});

function issuedPair(
  { wall, bootMs, bootId }: Moment,
  notAfter: Temporal.Instant,
  serialNumber: string,
): IssueResult {
  const leaf = { serialNumber } as Certificate;
  const notBefore = wall.subtract({ minutes: 5 });
  const terms = { notBefore, notAfter, issuedAt: wall, receivedBootMs: bootMs, bootId };
  const text = { certificatePem: "", privateKeyPem: "", trustBundlePem: "" };
  return { kind: "issued", leaf, terms, clockSkewMs: 0, ...text };
}
