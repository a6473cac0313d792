import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import type { TestEnvironment } from "../../scripts/demo/test_environment.ts";
import { type PodVolume, publishRequest } from "../../scripts/support/kubelet.ts";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import {
  admit,
  assertExactly,
  eventually,
  faultTest,
  retried,
  run,
  unpublishAll,
  wholePair,
} from "./fault_environment.ts";
import { HealthProbe } from "./observing.ts";

/** The kubelet's directory and the records on one ext4, which can be frozen as a node's disk is for a snapshot. */
async function mountDisk(environment: TestEnvironment): Promise<string> {
  const disk = `${environment.base}/disk`;
  const image = `${disk}.img`;
  await Deno.writeFile(image, new Uint8Array(16 * 1024 * 1024));
  await run("mkfs.ext4", "-q", image);
  await Deno.mkdir(disk);
  await run("mount", "-o", "loop", image, disk);
  const { kubelet, recordsDir } = environment;
  for (const [part, path] of [["kubelet", kubelet.root], ["records", recordsDir]] as const) {
    for (const directory of [`${disk}/${part}`, path]) {
      await Deno.mkdir(directory, { recursive: true });
    }
    await run("mount", "--bind", `${disk}/${part}`, path);
  }
  await Deno.mkdir(kubelet.registrationDir);
  return disk;
}

/** Freezes a file system until it is disposed, or until this process ends in any way. */
async function freeze(disk: string): Promise<AsyncDisposable> {
  const script = `trap '' INT TERM; fsfreeze -f "$1" && echo frozen; cat; fsfreeze -u "$1"`;
  const child = new Deno.Command("sh", {
    args: ["-c", script, "sh", disk],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value), "frozen\n");
  return {
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await reader.cancel();
      await child.status;
    },
  };
}

/** The code of a call that ends with an error within the kubelet's deadline, which is short here. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "OK";
  } catch (error) {
    assert.ok(error instanceof RpcError, `${error}`);
    return status[error.code];
  }
}

/** More volumes than the runtime has threads for calls of the file system. */
const newVolumes = 40;
const deadline = { timeoutMs: 3_000 };

faultTest(
  "a frozen disk under the kubelet's directory and CERT_BASE_PATH: health, metrics, republishes and renewals continue, and calls that need the disk end with their deadline",
  async (environment) => {
    const { kubelet } = environment;
    const disk = await mountDisk(environment);
    const { driver } = await environment.startPrograms();
    const { healthAddress } = await driver.ready();
    const short = kubelet.admit({
      name: "short",
      namespace: "shop",
      attributes: { duration: "20s" },
    });
    const removed = admit(environment, "removed");
    for (const volume of [short, removed]) await kubelet.publish(volume);
    const created = Array.from({ length: newVolumes }, (_, n) => admit(environment, `new-${n}`));
    for (const volume of created) await kubelet.note(volume);
    const before = await wholePair(short);
    await using probe = new HealthProbe(healthAddress);
    using node = kubelet.node();
    const publish = (volume: PodVolume) =>
      codeOf(node.nodePublishVolume(publishRequest(volume), deadline));
    {
      await using _frozen = await freeze(disk);
      const codes = await Promise.all([
        codeOf(node.nodeUnpublishVolume(removed, deadline)),
        ...created.map(publish),
      ]);
      assert.deepEqual([...new Set(codes)], ["DEADLINE_EXCEEDED"]);
      assert.equal(await publish(created[0]!), "ABORTED", "the first call has the volume still");
      assert.equal(await publish(short), "OK");
      await eventually(async () => {
        assert.notEqual((await wholePair(short)).serialNumber, before.serialNumber);
      }, 20_000);
      assert.equal(await publish(short), "OK", "its renewal waits for the record to be written");
      const metrics = await (await fetch(`http://${healthAddress}/metrics`)).text();
      assert.match(metrics, /csi_cert_volumes 2/);
    }
    const { failures, summary } = await probe.stop();
    assert.deepEqual(failures, []);
    console.log(`    the disk was frozen: ${summary}`);
    for (const volume of created) await retried(() => kubelet.publish(volume));
    await retried(() => kubelet.unpublish(removed));
    await eventually(() => assertExactly(environment, [short, ...created]), 20_000);
    await unpublishAll(environment, [short, ...created]);
  },
);
