import assert from "node:assert/strict";
import { mountsBelow, type TestEnvironment } from "../../scripts/demo/test_environment.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { Program } from "../../scripts/support/programs.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { faultTest, recordNames } from "./fault_environment.ts";
import { persistently } from "./persistence.ts";
import { openFiles } from "./observing.ts";

/** LEAK_PAIRS=10000 for the long run: a small leak shows at this number as well, but less clearly. */
const pairs = Number(Deno.env.get("LEAK_PAIRS") ?? "2000");
const warmUp = 500;
/** How many pods are created and deleted on a node at one time. */
const atOnce = 8;
const entry = new URL("measured_driver.ts", import.meta.url).pathname;

/** A leak of 500 bytes a pair would show in the heap; resident memory also has pools and fragments. */
const heapTolerance = (count: number) => 1024 * 1024 + 500 * count;
const residentTolerance = 48 * 1024 * 1024;
/** The last connections may still be closing. */
const fileTolerance = 2 * atOnce;

interface Holdings {
  readonly files: number;
  readonly heap: number;
  readonly resident: number;
}

async function holdings(driver: Program): Promise<Holdings> {
  const from = driver.position;
  driver.signal("SIGUSR2");
  const { heapUsed, rss } = await driver.logged(({ message }) => message === "memory", from);
  return { files: openFiles(driver.pid), heap: Number(heapUsed), resident: Number(rss) };
}

async function publishAndUnpublish(environment: TestEnvironment, count: number): Promise<void> {
  let left = count;
  const attributes = { "key-algorithm": "ed25519", duration: "1h" };
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left-- > 0) {
      const volume = environment.kubelet.admit({ name: "web-0", namespace: "shop", attributes });
      await persistently(() => environment.kubelet.publish(volume));
      await persistently(() => environment.kubelet.unpublish(volume));
    }
  }));
}

const shown = ({ files, heap, resident }: Holdings) =>
  `${files} descriptors, ${(heap / 2 ** 20).toFixed(1)} MiB of heap, ` +
  `${(resident / 2 ** 20).toFixed(0)} MiB resident`;

faultTest(
  "volumes that are published and unpublished leave no descriptor, mount, record or memory",
  async (environment) => {
    await environment.startService();
    const driver = await environment.startDriver({}, entry);
    await environment.kubelet.register();
    await publishAndUnpublish(environment, warmUp);
    const before = await holdings(driver);
    const started = performance.now();
    await publishAndUnpublish(environment, pairs);
    const seconds = (performance.now() - started) / 1000;
    const after = await holdings(driver);
    console.log(
      `    ${pairs} pairs in ${seconds.toFixed(0)} s: from ${shown(before)} to ${shown(after)}`,
    );
    assert.deepEqual(await mountsBelow(environment.kubelet.root), []);
    assert.deepEqual(recordNames(environment), []);
    assert.ok(after.files - before.files <= fileTolerance, "descriptors");
    assert.ok(after.heap - before.heap <= heapTolerance(pairs), "heap");
    assert.ok(after.resident - before.resident <= residentTolerance, "resident memory");
  },
);

Deno.test("1,000 drivers that watch the trust bundle and disconnect leave no descriptor and no memory in the service", async () => {
  await using folder = await temporaryFolder();
  const env = { SOCKET: `${folder.path}/service.sock`, CAPACITY: "100" };
  const path = new URL("stormed_service.ts", import.meta.url).pathname;
  await using service = new Program("cert-service", "source", env, [], path);
  const { address } = await service.ready();
  const follow = async (count: number) => {
    let left = count;
    await Promise.all(Array.from({ length: atOnce }, async () => {
      while (left-- > 0) {
        using client = connect(CertificateService, { address: `unix://${address}` });
        for await (const { certificates } of client.watchTrustBundle({})) {
          assert.equal(certificates.length, 1);
          break;
        }
      }
    }));
    return await holdings(service);
  };
  const before = await follow(300);
  const after = await follow(1_000);
  console.log(`    from ${shown(before)} to ${shown(after)}`);
  assert.ok(after.files - before.files <= fileTolerance, "descriptors");
  assert.ok(after.heap - before.heap <= heapTolerance(1_000), "heap");
  assert.ok(after.resident - before.resident <= residentTolerance, "resident memory");
});
