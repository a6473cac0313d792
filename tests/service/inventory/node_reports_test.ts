import assert from "node:assert/strict";
import { certificateState } from "../../../src/service/inventory/certificate_state.ts";
import { Inventory } from "../../../src/service/inventory/inventory.ts";
import { type NodeReportPart, NodeReports } from "../../../src/service/inventory/node_reports.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { comparable } from "../../support/comparable.ts";
import { countTurns } from "../../support/count_turns.ts";
import { pod, start } from "../../support/service_fixture.ts";

/** An inventory, and what nodes report to it. */
function open({ maxNodes }: { maxNodes?: number } = {}) {
  const clock = new FakeClock(start);
  const scheduler = new Scheduler({ clock });
  const inventory = new Inventory({ clock, scheduler });
  const limits = maxNodes === undefined ? {} : { maxNodes };
  const nodes = new NodeReports({ inventory, clock, scheduler, ...limits });
  let reports = 0;
  const send = (node: string, part: Partial<NodeReportPart>) =>
    nodes.receive(node, {
      reportId: undefined,
      part: 0,
      isLast: false,
      volumeIds: [],
      released: [],
      driverVersion: "1.2.3",
      clockSkewMs: undefined,
      ...part,
    });
  return {
    clock,
    inventory,
    nodes,
    send,
    /** A certificate that was issued now, for so many minutes, to a volume of this name. */
    issue(volumeId: string, node = "node-1", minutes = 60) {
      inventory.add({
        origin: "issued",
        serialNumber: hex(volumeId + node),
        pod: { ...pod, uid: `pod-${volumeId}` },
        volumeId,
        node,
        names: { commonName: "web-0", dnsNames: ["web-0"], ipAddresses: [], uris: [] },
        notBefore: clock.now().subtract({ minutes: 5 }),
        notAfter: clock.now().add({ minutes }),
        predecessor: undefined,
      });
    },
    /** A complete report in one part. */
    report: (node: string, ...volumeIds: string[]) =>
      send(node, { reportId: `r${reports++}`, isLast: true, volumeIds }),
    /** The listed volumes with their states. */
    async list(includeReleased = false) {
      const pages = await Array.fromAsync(inventory.pages({ includeReleased }));
      return Object.fromEntries(
        pages.flat().map((entry) => {
          const isSilent = nodes.isSilent(entry.node);
          const state = certificateState(entry, isSilent, clock.now().epochMilliseconds);
          return [entry.volumeId, isSilent ? `${state}, silent` : state];
        }),
      );
    },
    async [Symbol.asyncDispose]() {
      await inventory[Symbol.asyncDispose]();
      await scheduler[Symbol.asyncDispose]();
    },
  };
}

function hex(text: string): string {
  return new TextEncoder().encode(text).toHex();
}

Deno.test("a volume that a complete report lacks is released, and neither overdue nor expired", async () => {
  await using service = open();
  service.issue("job");
  service.issue("web");
  await service.clock.advance({ minutes: 10 });
  await service.report("node-1", "web");
  assert.deepEqual(await service.list(), { web: "current" });
  assert.deepEqual(await service.list(true), { job: "released", web: "current" });
  assert.equal(service.inventory.get(hex("jobnode-1"))?.presence, "released");
  // Listed again, as a driver that had lost the record adopts the volume.
  await service.report("node-1", "web", "job");
  assert.deepEqual(await service.list(), { job: "current", web: "current" });
  await service.report("node-1");
  await service.clock.advance({ hours: 2 });
  await service.report("node-1");
  assert.deepEqual(await service.list(true), {});
});

Deno.test("a certificate that its node does not renew is overdue, then expired, until the volume is gone", async () => {
  await using service = open();
  service.issue("web", "node-1", 60);
  const expected: [number, string][] = [
    [10, "current"],
    // 84 % of an hour, and 6 % of it.
    [53, "current"],
    [54, "overdue"],
    [59, "overdue"],
    [60, "expired"],
    [200, "expired"],
  ];
  for (const [minute, state] of expected) {
    await service.clock.advance(start.add({ minutes: minute }).since(service.clock.now()));
    await service.report("node-1", "web");
    assert.deepEqual(await service.list(), { web: state }, `after ${minute} minutes`);
  }
  await service.report("node-1");
  await service.clock.advance({ minutes: 2 });
  assert.equal(service.inventory.size, 0);
});

Deno.test("a renewed certificate is no longer overdue, and remains listed", async () => {
  await using service = open();
  service.issue("web", "node-1", 60);
  await service.clock.advance({ minutes: 4 });
  await service.report("node-1", "web");
  await service.clock.advance({ minutes: 52 });
  await service.report("node-1", "web");
  assert.deepEqual(await service.list(), { web: "overdue" });
  service.issue("web", "node-1", 60);
  assert.deepEqual(await service.list(), { web: "current" });
  assert.equal(service.inventory.get(hex("webnode-1"))?.presence, "listed");
});

Deno.test("a certificate that no report has listed is not called overdue, and is removed when it expires", async () => {
  await using service = open();
  service.issue("web", "node-1", 10);
  // As a driver of an earlier version reports.
  await service.send("node-1", { driverVersion: undefined });
  await service.clock.advance({ minutes: 9, seconds: 30 });
  assert.deepEqual(await service.list(), { web: "current" });
  await service.clock.advance({ minutes: 31 });
  assert.equal(service.nodes.isSilent("node-1"), false);
  assert.equal(service.inventory.size, 0);
});

Deno.test("a report that ends in the middle releases nothing", async () => {
  await using service = open();
  for (const volumeId of ["a", "b", "c", "d"]) service.issue(volumeId);
  await service.clock.advance({ minutes: 10 });
  const all = ["a", "b", "c", "d"];
  const part = (reportId: string, part: number, volumeId: string, isLast = false) =>
    service.send("node-1", { reportId, part, volumeIds: [volumeId], isLast });
  // Its last part does not arrive.
  await part("one", 0, "a");
  // A part in the middle does not arrive.
  await part("two", 0, "a");
  await part("two", 2, "c", true);
  // Its first part went to another replica.
  await part("three", 1, "b", true);
  // A part that arrives twice, which no driver sends.
  await part("four", 0, "a");
  await part("four", 0, "a");
  await part("four", 2, "b", true);
  assert.deepEqual(Object.keys(await service.list()), all);
  await part("five", 0, "a");
  // The former driver's last words change nothing.
  await part("four", 1, "d", true);
  await part("five", 1, "b", true);
  assert.deepEqual(Object.keys(await service.list()), ["a", "b"]);
});

Deno.test("a volume that was just issued is not released by a report that was made before it was mounted", async () => {
  await using service = open();
  service.issue("old");
  await service.clock.advance({ minutes: 10 });
  service.issue("new");
  await service.clock.advance({ minutes: 1 });
  await service.report("node-1");
  assert.deepEqual(await service.list(), { new: "current" });
  // It was never mounted.
  await service.clock.advance({ minutes: 5 });
  await service.report("node-1");
  assert.deepEqual(await service.list(), {});
});

Deno.test("an unpublished volume is released at once, by the certificate that it held", async () => {
  await using service = open();
  service.issue("a");
  service.issue("b");
  const release = (volumeId: string, serialNumber: string, node = "node-1") =>
    service.send(node, { released: [{ volumeId, serialNumber }] });
  // Another certificate of the volume, another volume, and another node.
  await release("a", hex("bnode-1"));
  await release("b", hex("anode-1"));
  await release("a", hex("anode-1"), "node-2");
  assert.deepEqual(Object.keys(await service.list()), ["a", "b"]);
  await release("a", hex("anode-1"));
  assert.deepEqual(Object.keys(await service.list()), ["b"]);
  // Published again.
  service.issue("a");
  assert.deepEqual(Object.keys(await service.list()), ["a", "b"]);
});

Deno.test("a node that reports nothing for 15 minutes is silent, and its certificates are called overdue and expired", async () => {
  await using service = open();
  service.issue("web", "node-1", 60);
  service.issue("other", "node-2", 60);
  await service.report("node-1", "web");
  service.issue("new", "node-1", 60);
  await service.clock.advance({ minutes: 15 });
  await service.report("node-2", "other");
  assert.equal((await service.list()).web, "current");
  await service.clock.advance({ seconds: 1 });
  assert.deepEqual(await service.list(), {
    new: "current, silent",
    other: "current",
    web: "current, silent",
  });
  await service.clock.advance({ minutes: 41 });
  assert.equal((await service.list()).new, "overdue, silent");
  await service.clock.advance({ minutes: 10 });
  assert.equal((await service.list()).web, "expired, silent");
  // A report that is incomplete shows that the driver is there.
  await service.send("node-1", {});
  assert.equal((await service.list()).web, "expired");
});

Deno.test("a node that has not reported for a day is forgotten with its last certificate", async () => {
  await using service = open();
  service.issue("short", "node-1", 60);
  service.issue("long", "node-1", 60 * 48);
  await service.report("node-1", "short", "long");
  await service.report("node-2");
  await service.clock.advance({ hours: 23 });
  assert.deepEqual(service.nodes.all().map(({ name }) => name), ["node-1", "node-2"]);
  assert.deepEqual(await service.list(), {
    long: "current, silent",
    short: "expired, silent",
  });
  await service.clock.advance({ hours: 1, minutes: 3 });
  assert.deepEqual(service.nodes.all().map(({ name }) => name), ["node-1"]);
  assert.deepEqual(await service.list(), { long: "current, silent" });
  await service.clock.advance({ hours: 24 });
  assert.deepEqual(service.nodes.all(), []);
  assert.equal(service.inventory.size, 0);
});

Deno.test("a driver that is replaced by one of an earlier version is not called silent, nor its volumes overdue", async () => {
  await using service = open();
  service.issue("web", "node-1", 60);
  await service.report("node-1", "web");
  await service.send("node-1", { driverVersion: undefined });
  await service.clock.advance({ minutes: 58 });
  assert.deepEqual(await service.list(), { web: "current" });
  await service.clock.advance({ minutes: 4 });
  assert.equal(service.inventory.size, 0);
  assert.deepEqual(service.nodes.all().map(({ volumes, isSilent }) => [volumes, isSilent]), [
    [undefined, false],
  ]);
});

Deno.test("the number of nodes is bounded: the one whose report is the oldest is forgotten", async () => {
  await using service = open({ maxNodes: 3 });
  service.issue("web", "a");
  for (const node of ["d", "a", "b", "d", "c"]) await service.report(node, "web");
  assert.deepEqual(service.nodes.all().map(({ name }) => name), ["b", "c", "d"]);
  // Its certificates are removed when they have expired, as if it had never reported.
  await service.clock.advance({ minutes: 62 });
  assert.equal(service.inventory.size, 0);
});

Deno.test("a node that reports again while it is being forgotten is known", async () => {
  await using service = open();
  await service.report("node-1");
  const { inventory } = service;
  const forget = inventory.forgetVolumes.bind(inventory);
  let reports = 0;
  inventory.forgetVolumes = async (node) => {
    await forget(node);
    reports++;
    await service.report(node);
  };
  await service.clock.advance({ hours: 24, minutes: 3 });
  assert.equal(reports, 1);
  assert.deepEqual(service.nodes.all().map(({ name, isSilent }) => [name, isSilent]), [
    ["node-1", false],
  ]);
});

Deno.test("a report with more volumes than a node can have certificates is never complete", async () => {
  await using service = open();
  service.issue("web");
  await service.clock.advance({ minutes: 10 });
  const ids = (part: number) => Array.from({ length: 1_000 }, (_, n) => `csi-${part}-${n}`);
  for (let part = 0; part < 12; part++) {
    await service.send("node-1", {
      reportId: "r",
      part,
      isLast: part === 11,
      volumeIds: ids(part),
    });
  }
  assert.deepEqual(Object.keys(await service.list()), ["web"]);
});

Deno.test("unfinished reports of many nodes take a bounded memory, and do not keep an honest node from its own", async () => {
  await using service = open();
  service.issue("web");
  service.issue("job");
  await service.clock.advance({ minutes: 10 });
  for (let node = 0; node < 30; node++) {
    for (let part = 0; part < 9; part++) {
      const volumeIds = Array.from({ length: 1_000 }, (_, n) => `csi-${part}-${n}`);
      await service.send(`hostile-${node}`, { reportId: "r", part, volumeIds });
    }
  }
  const part = { reportId: "r", isLast: true };
  // The first of them was dropped for the others, the last one not.
  await service.send("hostile-0", { ...part, part: 9 });
  await service.send("hostile-29", { ...part, part: 9 });
  assert.deepEqual(
    service.nodes.all().filter(({ volumes }) => volumes !== undefined)
      .map(({ name, volumes }) => [name, volumes]),
    [["hostile-29", 9_000]],
  );
  await service.report("node-1", "web");
  assert.deepEqual(Object.keys(await service.list()), ["web"]);
});

Deno.test("of reports that arrive at once, one iteration of the event loop changes a part of one", async () => {
  await using service = open();
  for (let volume = 0; volume < 500; volume++) service.issue(`csi-${volume}`);
  await service.clock.advance({ minutes: 10 });
  using turns = countTurns();
  const reports = Array.from({ length: 20 }, () => service.report("node-1", "csi-1"));
  await Promise.all(reports);
  // Each report changes the rows in three parts.
  assert.ok(turns.now >= 59, `${turns.now} turns`);
  assert.deepEqual(Object.keys(await service.list()), ["csi-1"]);
});

Deno.test("nodes are listed by name, with what their drivers stated last", async () => {
  await using service = open();
  await service.send("node-2", { driverVersion: undefined });
  await service.send("node-1", {
    reportId: "r",
    isLast: true,
    volumeIds: ["a", "b", "a"],
    clockSkewMs: -250,
  });
  const silent = { isSilent: false, reportedAt: String(start) };
  assert.deepEqual(comparable(service.nodes.all()), [
    { name: "node-1", driverVersion: "1.2.3", clockSkewMs: -250, volumes: 2, ...silent },
    {
      name: "node-2",
      driverVersion: undefined,
      clockSkewMs: undefined,
      volumes: undefined,
      ...silent,
    },
  ]);
});
