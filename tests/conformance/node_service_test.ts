import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { mountsBelow, Stage } from "../../scripts/demo/stage.ts";
import type { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { canMount } from "../../scripts/support/can_mount.ts";
import { publishRequest } from "../../scripts/support/kubelet.ts";

/** What csi-sanity asks only after CreateVolume, of the bundled driver over its socket. */
const pod = { name: "web-0", namespace: "shop" };

async function open(): Promise<Stage> {
  const stage = await Stage.open({ form: "bundle", plain: !canMount });
  await stage.command(["init-ca", "--out", stage.caDir]);
  await Deno.writeTextFile(`${stage.base}/policy.yaml`, "rules: []\n");
  await stage.startService();
  await stage.startDriver();
  await stage.kubelet.register();
  return stage;
}

async function codeOf(call: Promise<unknown>): Promise<status> {
  return await call.then(() => status.OK, (error: RpcError) => error.code);
}

async function assertNothingAt(stage: Stage, targetPath: string): Promise<void> {
  await assert.rejects(Deno.lstat(targetPath), Deno.errors.NotFound);
  assert.ok(!(await mountsBelow(stage.base)).includes(targetPath));
}

Deno.test("NodeUnpublishVolume removes the target path", async () => {
  await using stage = await open();
  const volume = stage.kubelet.admit(pod);
  await stage.kubelet.publish(volume);
  assert.ok((await Deno.lstat(volume.targetPath)).isDirectory);
  using node = stage.kubelet.node();
  await node.nodeUnpublishVolume(volume);
  await assertNothingAt(stage, volume.targetPath);
});

Deno.test("the node service works: a volume's life from publish to unpublish", async () => {
  await using stage = await open();
  const volume = stage.kubelet.admit(pod);
  await stage.kubelet.publish(volume);
  for (const file of ["tls.crt", "tls.key", "ca.crt"]) {
    assert.match(await Deno.readTextFile(`${volume.targetPath}/${file}`), /^-----BEGIN /);
  }
  await stage.kubelet.unpublish(volume);
  await assertNothingAt(stage, volume.targetPath);
});

Deno.test("the node service is idempotent: each call again and again is OK and changes nothing", async () => {
  await using stage = await open();
  const volume = stage.kubelet.admit(pod);
  using node = stage.kubelet.node();
  for (let round = 0; round < 2; round++) {
    const seen = new Set<string>();
    for (let times = 0; times < 3; times++) {
      await stage.kubelet.publish(volume);
      seen.add(await Deno.readTextFile(`${volume.targetPath}/tls.crt`));
    }
    assert.equal(seen.size, 1, "one certificate");
    for (let times = 0; times < 3; times++) await node.nodeUnpublishVolume(volume);
    await assertNothingAt(stage, volume.targetPath);
  }
});

Deno.test("a volume that is mounted at one target path is refused at another", async () => {
  await using stage = await open();
  const volume = stage.kubelet.admit(pod);
  await stage.kubelet.publish(volume);
  using node = stage.kubelet.node();
  const targetPath = volume.targetPath.replace("/certs/", "/other/");
  const request = publishRequest({ ...volume, targetPath });
  assert.equal(await codeOf(node.nodePublishVolume(request)), status.FAILED_PRECONDITION);
  await assertNothingAt(stage, targetPath);
});

Deno.test("a target path that is published with other attributes is refused, and stays as it is", async () => {
  await using stage = await open();
  const volume = stage.kubelet.admit(pod);
  await stage.kubelet.publish(volume);
  const before = await Deno.readTextFile(`${volume.targetPath}/tls.crt`);
  const other = { ...volume, pod: { ...pod, attributes: { duration: "1h" } } };
  assert.equal(await codeOf(stage.kubelet.publish(other)), status.ALREADY_EXISTS);
  assert.equal(await Deno.readTextFile(`${volume.targetPath}/tls.crt`), before);
});

Deno.test("NodeUnpublishVolume of a volume that never was is OK", async () => {
  await using stage = await open();
  using node = stage.kubelet.node();
  await node.nodeUnpublishVolume(stage.kubelet.admit(pod));
});
