import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { formatStatusTable, volumeStatuses } from "../../../src/driver/program/status.ts";
import { renewalDueInMs, renewalSpread } from "../../../src/driver/certificates/renewal_time.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";
import { volume } from "../records/sample_record.ts";

const record = volume({
  issuedAt: Temporal.Instant.from("2026-01-01T00:00:00Z"),
  notAfter: Temporal.Instant.from("2026-01-08T00:00:00Z"),
});
/** Without the time since boot, as after a reboot. */
const at = (wall: Temporal.Instant) => ({ wall, bootMs: 0, bootId: "boot-1" });
const dueInMs = renewalDueInMs(
  record,
  undefined,
  renewalSpread(record.volumeId),
  at(record.issuedAt),
);
const due = record.issuedAt.add({ milliseconds: Math.ceil(dueInMs) });

const states: readonly [string, { now: Temporal.Instant; published?: boolean; state: string }][] = [
  ["before its renewal", { now: due.subtract({ seconds: 1 }), state: "ok" }],
  ["while its renewal can still run", { now: due.add({ minutes: 4 }), state: "ok" }],
  ["after its renewal is due", { now: due.add({ minutes: 5 }), state: "renewal overdue" }],
  ["at its expiry", { now: record.notAfter, state: "expired" }],
  ["without its files", { now: record.notAfter, published: false, state: "not mounted" }],
];

for (const [when, { now, published = true, state }] of states) {
  Deno.test(`the status of a volume ${when} is "${state}"`, () => {
    const [row] = volumeStatuses([record], () => published, at(now));
    assert.equal(row?.state, state);
  });
}

Deno.test("a certificate has expired when its age has reached its lifetime, whatever the node's clock shows", () => {
  // The node's clock was an hour behind at the receipt, and was corrected since.
  const received = { issuedAt: record.issuedAt.subtract({ hours: 1 }), bootId: "boot-1" };
  const skewed = { ...record, ...received, receivedBootMs: 0 };
  const stateAt = (wall: Temporal.Instant, bootMs: number) =>
    volumeStatuses([skewed], () => true, { wall, bootMs, bootId: "boot-1" })[0]?.state;
  const lifetimeMs = 7 * 24 * 3_600_000;
  assert.equal(stateAt(skewed.issuedAt, lifetimeMs), "expired", "by the time since boot");
  assert.equal(stateAt(skewed.issuedAt.add({ hours: 168 }), 0), "expired", "by the wall clock");
  assert.equal(stateAt(skewed.issuedAt, 3_600_000), "ok");
});

Deno.test("the status table is aligned, and lists first the volume that expires first", () => {
  const sooner = volume({
    pod: { namespace: "shop", name: "checkout-7d9c", uid: "v", serviceAccount: "shop" },
    serialNumber: "ff",
    notAfter: Temporal.Instant.from("2026-01-02T00:00:00.7Z"),
  });
  const now = at(record.issuedAt);
  const rows = volumeStatuses([record, sooner], () => false, now);
  const lines = formatStatusTable(rows).split("\n");
  assert.match(lines[0]!, /^POD +SERIAL +EXPIRES +RENEWS +STATE$/);
  assert.match(lines[1]!, /^shop\/checkout-7d9c +ff +2026-01-02T00:00:00Z +\S+Z +not mounted$/);
  assert.match(lines[2]!, /^default\/web-0 +0a1b +2026-01-08T00:00:00Z +\S+Z +not mounted$/);
  for (const column of ["SERIAL", "EXPIRES", "RENEWS", "STATE"]) {
    const at = lines[0]!.indexOf(column);
    for (const line of lines) assert.match(line.slice(at - 2, at + 1), /^ {2}\S$/);
  }
});

Deno.test("the status command fails with the variable's name when the records cannot be read", async () => {
  await using folder = await temporaryFolder();
  const loop = `${folder.path}/loop`;
  await Deno.symlink(loop, loop);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--no-check",
      fileURLToPath(new URL("../../../src/csi_driver.ts", import.meta.url)),
      "status",
    ],
    env: { CERT_BASE_PATH: loop },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.equal(code, 1);
  assert.equal(text(stdout), "");
  assert.match(
    text(stderr),
    /^csi-driver: CERT_BASE_PATH \S+loop cannot be read: .+; run the command as the driver's own user\n$/,
  );
});
