import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { mountsBelow, TestEnvironment } from "../../scripts/demo/test_environment.ts";
import type { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { canMount } from "../../scripts/support/can_mount.ts";
import { publishRequest } from "../../scripts/support/kubelet.ts";

/** The checks that csi-sanity makes only after CreateVolume, on the bundled driver over its socket. */
const pod = { name: "web-0", namespace: "shop" };

async function open(): Promise<TestEnvironment> {
  const environment = await TestEnvironment.withCa({ form: "bundle", plain: !canMount });
  await environment.startPrograms();
  return environment;
}

async function codeOf(call: Promise<unknown>): Promise<status> {
  return await call.then(() => status.OK, (error: RpcError) => error.code);
}

async function assertNothingAt(environment: TestEnvironment, targetPath: string): Promise<void> {
  await assert.rejects(Deno.lstat(targetPath), Deno.errors.NotFound);
  assert.ok(!(await mountsBelow(environment.base)).includes(targetPath));
}

Deno.test("NodeUnpublishVolume removes the target path", async () => {
  await using environment = await open();
  const volume = environment.kubelet.admit(pod);
  await environment.kubelet.publish(volume);
  assert.ok((await Deno.lstat(volume.targetPath)).isDirectory);
  using node = environment.kubelet.node();
  await node.nodeUnpublishVolume(volume);
  await assertNothingAt(environment, volume.targetPath);
});

Deno.test("the node service works: a volume's life from publish to unpublish", async () => {
  await using environment = await open();
  const volume = environment.kubelet.admit(pod);
  await environment.kubelet.publish(volume);
  for (const file of ["tls.crt", "tls.key", "ca.crt"]) {
    assert.match(await Deno.readTextFile(`${volume.targetPath}/${file}`), /^-----BEGIN /);
  }
  await environment.kubelet.unpublish(volume);
  await assertNothingAt(environment, volume.targetPath);
});

Deno.test("the node service is idempotent: each repeated call is OK and changes nothing", async () => {
  await using environment = await open();
  const volume = environment.kubelet.admit(pod);
  using node = environment.kubelet.node();
  for (let round = 0; round < 2; round++) {
    const seen = new Set<string>();
    for (let times = 0; times < 3; times++) {
      await environment.kubelet.publish(volume);
      seen.add(await Deno.readTextFile(`${volume.targetPath}/tls.crt`));
    }
    assert.equal(seen.size, 1, "one certificate");
    for (let times = 0; times < 3; times++) await node.nodeUnpublishVolume(volume);
    await assertNothingAt(environment, volume.targetPath);
  }
});

Deno.test("a volume that is mounted at one target path is refused at another", async () => {
  await using environment = await open();
  const volume = environment.kubelet.admit(pod);
  await environment.kubelet.publish(volume);
  using node = environment.kubelet.node();
  const targetPath = volume.targetPath.replace("/certs/", "/other/");
  const request = publishRequest({ ...volume, targetPath });
  assert.equal(await codeOf(node.nodePublishVolume(request)), status.FAILED_PRECONDITION);
  await assertNothingAt(environment, targetPath);
});

Deno.test("a target path that is published with other attributes is refused, and remains unchanged", async () => {
  await using environment = await open();
  const volume = environment.kubelet.admit(pod);
  await environment.kubelet.publish(volume);
  const before = await Deno.readTextFile(`${volume.targetPath}/tls.crt`);
  const other = { ...volume, pod: { ...pod, attributes: { duration: "1h" } } };
  assert.equal(await codeOf(environment.kubelet.publish(other)), status.ALREADY_EXISTS);
  assert.equal(await Deno.readTextFile(`${volume.targetPath}/tls.crt`), before);
});

Deno.test("NodeUnpublishVolume of an unknown volume is OK", async () => {
  await using environment = await open();
  using node = environment.kubelet.node();
  await node.nodeUnpublishVolume(environment.kubelet.admit(pod));
});
