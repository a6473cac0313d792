import assert from "node:assert/strict";
import type { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import type { Client } from "../../src/shared/grpc_client/client.ts";
import { watchTrustBundle } from "../../src/driver/service_client/trust_bundle_watch.ts";
import { Scheduler } from "../../src/shared/scheduler/scheduler.ts";
import type { Mounter, VolumeFiles } from "../../src/driver/volume/mounter.ts";
import { parsePublishRequest } from "../../src/driver/csi/request_validation.ts";
import { composeVolumes } from "../../src/driver/program/compose_volumes.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { memoryStore } from "../support/memory_store.ts";
import { rawRequest } from "../support/node.ts";
import { TestIssuer } from "../support/test_issuer.ts";

const drivers = 1000;

/** Volumes in memory. */
function memoryMounter(): Mounter {
  const mounted = new Map<string, VolumeFiles>();
  const write = (path: string, files: VolumeFiles) =>
    Promise.resolve(void mounted.set(path, files));
  return {
    kind: "tmpfs",
    state: (path) => Promise.resolve(mounted.has(path) ? "ours" : "absent"),
    publish: write,
    replace: write,
    read: (path, names) =>
      Promise.resolve(names.map((name) => mounted.get(path)?.contents.get(name))),
    unpublish: (path) => Promise.resolve(void mounted.delete(path)),
    mounted: () => [...mounted.keys()],
    rejectionReason: () => Promise.resolve(undefined),
  };
}

Deno.test("a service is away for eighty minutes while a thousand renewals become due: all renew within a minute of its return, without overloading it", async () => {
  const clock = new FakeClock();
  const issuer = await TestIssuer.create(clock);
  let isAway = false;
  let random = 1;
  const nextRandom = () => (random = random * 48271 % 2147483647) / 2147483647;
  const away = { kind: "unavailable", reason: "away" } as const;
  const asked: number[] = [];
  const connected: number[] = [];
  issuer.answer = (request) => {
    if (isAway) return Promise.resolve(away);
    asked.push(clock.now().epochMilliseconds);
    return issuer.sign(request);
  };
  // A stream that the service's end breaks, and that cannot be opened while it is away.
  const breaks = new Set<() => void>();
  const client = {
    async *watchTrustBundle() {
      if (isAway) throw new Error("unavailable");
      connected.push(clock.now().epochMilliseconds);
      yield { certificates: [] };
      await new Promise<void>((resolve) => breaks.add(resolve));
    },
  } as unknown as Client<typeof CertificateService>;
  const wait = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve));
  const stopping = new AbortController();
  // One scheduler for all, to make the test fast: a driver's jobs have keys that no other driver's have.
  await using scheduler = new Scheduler({ clock, random: nextRandom });
  const settled = () => clock.until(() => scheduler.running === 0);
  const tables: ReturnType<typeof composeVolumes>["table"][] = [];
  for (let driver = 0; driver < drivers; driver++) {
    const { table, renewer, publisher } = composeVolumes({
      clock,
      scheduler,
      mounter: memoryMounter(),
      store: memoryStore,
      issuer,
      kubelet: { hasVolume: () => Promise.resolve(true) },
      random: nextRandom,
      checkInterval: Temporal.Duration.from({ minutes: 5 }),
      onRenewal: () => {},
    });
    const parsed = parsePublishRequest(rawRequest("/k", `uid-${driver}`, { duration: "24h" }));
    assert.ok(parsed.kind === "request");
    await publisher.publish(parsed.request, stopping.signal);
    tables.push(table);
    const watcher = {
      onConnected: () => Promise.resolve(void renewer.retryFailed(10_000)),
      onBundle: () => Promise.resolve(),
      onDisconnected: () => {},
    };
    void watchTrustBundle(client, watcher, { wait, random: nextRandom }, stopping.signal);
  }
  await clock.advance({ hours: 19 });
  const first = new Set(tables.flatMap((table) => table.all()).map((each) => each.serialNumber));
  isAway = true;
  for (const end of breaks) end();
  breaks.clear();
  for (let minute = 0; minute < 80; minute++) {
    await clock.advance({ minutes: 1 });
    await settled();
  }
  const held = () => tables.flatMap((table) => table.all());
  assert.ok(held().every(({ serialNumber }) => first.has(serialNumber)), "the old pairs remain");
  asked.length = connected.length = 0;
  isAway = false;
  const back = clock.now().epochMilliseconds;
  for (let second = 0; second < 60; second++) {
    await clock.advance({ seconds: 1 });
    await settled();
  }
  assert.ok(held().every(({ serialNumber }) => !first.has(serialNumber)), "all renewed");
  const longest = (Math.max(...asked) - back) / 1000;
  const [mostConnects, mostAsks] = [connected, asked].map(busiestSecond);
  console.log(
    `    ${drivers} drivers renewed within ${
      longest.toFixed(1)
    } s of the service's return: at most ` +
      `${mostConnects} connections and ${mostAsks} requests in one second`,
  );
  assert.ok(asked.length >= drivers && asked.length < 1.1 * drivers, `${asked.length} requests`);
  assert.ok(mostConnects! < 120, `${mostConnects} connections in one second`);
  assert.ok(mostAsks! < 100, `${mostAsks} requests in one second`);
  stopping.abort();
});

function busiestSecond(instants: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const ms of instants) {
    const second = Math.floor(ms / 1000);
    counts.set(second, (counts.get(second) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values());
}
