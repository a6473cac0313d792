import assert from "node:assert/strict";
import {
  NodeReporter,
  type NodeReportSource,
} from "../../../src/driver/service_client/node_reporter.ts";
import {
  type MountedCertificate,
  type NodeVolume,
  reportParts,
} from "../../../src/driver/service_client/report_parts.ts";
import type { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import type { CallOptions, Client } from "../../../src/shared/grpc_client/client.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

const pod = { namespace: "shop", name: "web-0", uid: "u", serviceAccount: "web" };

function volumesNamed(...names: string[]): NodeVolume[] {
  return names.map((volumeId) => ({ volumeId, serialNumber: `${volumeId}1` }));
}

function mountedIn(volumes: readonly NodeVolume[], bytes: number): MountedCertificate[] {
  const certificate = new Uint8Array(bytes);
  return volumes.map((volume) => ({ ...volume, certificate, pod }));
}

Deno.test("a part of a report has at most 100 certificates and 256 KiB, and none is left out", () => {
  for (
    const [count, bytes, expected] of [
      [0, 700, [0]],
      [100, 100, [100]],
      [100, 700, [83, 17]],
      [250, 100, [93, 100, 57]],
      [5, 100 * 1024, [2, 2, 1]],
      [2, 230 * 1024, [0, 1, 1]],
    ] as const
  ) {
    const volumes = volumesNamed(...Array.from({ length: count }, (_, n) => `csi-${n}`));
    const parts = reportParts(volumes, mountedIn(volumes, bytes));
    const sizes = parts.map(({ certificates }) => certificates.length);
    assert.deepEqual(sizes, expected, `${count} of ${bytes} bytes`);
    assert.deepEqual(parts.flatMap(({ volumeIds }) => volumeIds).length, count);
  }
});

Deno.test("a part of a report has at most 1,000 volume ids, however short, and 256 KiB of long ones", () => {
  const ids = (count: number, length: number) =>
    volumesNamed(...Array.from({ length: count }, (_, n) => `${n}`.padEnd(length, "x")));
  const sizes = (volumes: NodeVolume[]) =>
    reportParts(volumes, []).map(({ volumeIds }) => volumeIds.length);
  assert.deepEqual(sizes(ids(2_500, 4)), [1_000, 1_000, 500]);
  assert.deepEqual(sizes(ids(2_000, 500)), [456, 456, 456, 456, 176]);
});

interface Message {
  readonly certificates?: readonly MountedCertificate[];
  readonly reportId?: string;
  readonly part?: number;
  readonly isLast?: boolean;
  readonly volumeIds?: readonly string[];
  readonly released?: readonly NodeVolume[];
  readonly driverVersion?: string;
  readonly clockSkewMs?: bigint;
}

/** A driver on a fake clock, and a service that answers as `answer` says: how many are refused, or an error. */
function openReporter(
  answer: (call: number) => number | Error | Promise<number> = () => 0,
  bytes = 700,
) {
  const clock = new FakeClock();
  const messages: Message[] = [];
  const deadlines: unknown[] = [];
  const at: number[] = [];
  const began = clock.now();
  const client = {
    async reportCertificates(message: Message, options: CallOptions) {
      messages.push(message);
      deadlines.push(options.timeoutMs);
      at.push(clock.now().since(began).total("seconds"));
      const refused = await answer(messages.length);
      if (typeof refused !== "number") throw refused;
      return { accepted: (message.certificates ?? []).length - refused, refused };
    },
  } as unknown as Client<typeof CertificateService>;
  const reporter = new NodeReporter({ client, clock, random: () => 1, driverVersion: "1.2.3" });
  const state = { volumes: volumesNamed("a", "b", "c") };
  const source: NodeReportSource = {
    volumes: () => state.volumes,
    readMounted: (ids) =>
      Promise.resolve(
        mountedIn(state.volumes.filter(({ volumeId }) => ids.has(volumeId)), bytes),
      ),
    clockSkewMs: () => -1_500.4,
  };
  const stop = new AbortController();
  const ended = reporter.run(source, stop.signal);
  return {
    clock,
    messages,
    deadlines,
    at,
    reporter,
    state,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

const certificateIds = ({ certificates }: Message) =>
  (certificates ?? []).map(({ volumeId }) => volumeId);

Deno.test("a driver reports all volumes when it connects and every 5 minutes, and each certificate once", async () => {
  await using driver = openReporter();
  await driver.clock.advance({ seconds: 1 });
  const [first] = driver.messages;
  assert.deepEqual(first?.volumeIds, ["a", "b", "c"]);
  assert.deepEqual(certificateIds(first), ["a", "b", "c"]);
  assert.deepEqual([first.part, first.isLast], [0, true]);
  assert.deepEqual([first.driverVersion, first.clockSkewMs], ["1.2.3", -1500n]);
  // One is renewed, one is gone, one is new.
  driver.state.volumes = [{ volumeId: "a", serialNumber: "a2" }, ...volumesNamed("b", "d")];
  await driver.clock.advance({ minutes: 11 });
  assert.deepEqual(driver.at, [0, 330, 660]);
  assert.deepEqual(driver.messages[1]?.volumeIds, ["a", "b", "d"]);
  assert.deepEqual(driver.messages.slice(1).map(certificateIds), [["a", "d"], []]);
  assert.equal(new Set(driver.messages.map(({ reportId }) => reportId)).size, 3);
  assert.deepEqual(driver.deadlines, [60_000, 60_000, 60_000]);
});

Deno.test("a node without volumes reports that it has none", async () => {
  await using driver = openReporter();
  driver.state.volumes = [];
  await driver.clock.advance({ seconds: 1 });
  await driver.clock.advance({ minutes: 6 });
  const last = driver.messages.at(-1);
  assert.deepEqual([last?.volumeIds, last?.part, last?.isLast], [[], 0, true]);
});

Deno.test("certificates of a part with a refused one are reported again, as the reason may be of a moment", async () => {
  await using driver = openReporter((call) => call === 1 ? 1 : 0);
  await driver.clock.advance({ minutes: 11 });
  assert.deepEqual(driver.messages.map(certificateIds), [["a", "b", "c"], ["a", "b", "c"], []]);
});

Deno.test("a part that is refused keeps no other part from the service, and the whole report is repeated", async () => {
  await using driver = openReporter(
    (call) => call === 1 ? new Error("the request is too long") : 0,
    200 * 1024,
  );
  await driver.clock.advance({ seconds: 11 });
  assert.deepEqual(driver.messages.map(certificateIds), [["a"], ["b"], ["c"], ["a"]]);
  assert.deepEqual(driver.at, [0, 0, 0, 10]);
  const positions = driver.messages.map(({ part, isLast }) => [part, isLast]);
  assert.deepEqual(positions, [[0, false], [1, false], [2, true], [0, true]]);
  assert.notEqual(driver.messages[3]?.reportId, driver.messages[0]?.reportId);
});

Deno.test("a report that is refused each time is repeated ever less often, and ends with the connection", async () => {
  await using driver = openReporter(() => new Error("not now"));
  await driver.clock.advance({ minutes: 20 });
  const waits = driver.at.slice(1).map((at, n) => at - (driver.at[n] ?? 0));
  assert.deepEqual(waits, [10, 20, 40, 80, 160, 300, 300]);
});

Deno.test("volumes that are unpublished together are released in one message, and not again", async () => {
  await using driver = openReporter();
  await driver.clock.advance({ seconds: 60 });
  const [a, b, c] = driver.state.volumes;
  driver.state.volumes = [c!];
  driver.reporter.release(a!);
  await driver.clock.advance({ seconds: 1 });
  driver.reporter.release(b!);
  await driver.clock.advance({ seconds: 30 });
  assert.deepEqual(driver.messages[1], {
    driverVersion: "1.2.3",
    clockSkewMs: -1500n,
    released: [a, b],
  });
  assert.deepEqual(driver.at, [0, 62]);
  await driver.clock.advance({ minutes: 5 });
  assert.deepEqual(driver.messages[2]?.volumeIds, ["c"]);
  assert.equal(driver.messages[2]?.released, undefined);
});

Deno.test("a volume that is unpublished during a report is released after it", async () => {
  const first = Promise.withResolvers<number>();
  await using driver = openReporter((call) => call === 1 ? first.promise : 0);
  await driver.clock.advance({ seconds: 1 });
  const [a] = driver.state.volumes;
  driver.reporter.release(a!);
  await driver.clock.advance({ seconds: 10 });
  assert.equal(driver.messages.length, 1);
  first.resolve(0);
  await driver.clock.advance({ seconds: 10 });
  assert.deepEqual(driver.messages[1]?.released, [a]);
});

Deno.test("a service that is away when a volume is released receives the next report, which lacks it", async () => {
  await using driver = openReporter((call) => call === 2 ? new Error("away") : 0);
  await driver.clock.advance({ seconds: 1 });
  const [a, ...others] = driver.state.volumes;
  driver.state.volumes = others;
  driver.reporter.release(a!);
  await driver.clock.advance({ minutes: 6 });
  assert.deepEqual(driver.messages[1]?.released, [a]);
  assert.deepEqual(driver.messages[2]?.volumeIds, ["b", "c"]);
  assert.equal(driver.messages.length, 3);
});
