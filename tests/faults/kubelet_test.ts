import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import type { Stage } from "../../scripts/demo/stage.ts";
import type { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { type PodVolume, publishRequest } from "../../scripts/support/kubelet.ts";
import type { Program } from "../../scripts/support/programs.ts";
import { assertExactly, ignore, openStage, Recoveries, retried, wholePair } from "./fault_stage.ts";

/** A stage whose service can be frozen, so that a publish hangs where it asks for its certificate. */
async function frozen(
  test: (stage: Stage, volume: PodVolume, service: Program) => Promise<void>,
): Promise<void> {
  await using stage = await openStage();
  const service = await stage.startService();
  await stage.startDriver();
  await stage.kubelet.register();
  const warm = stage.kubelet.admit({ name: "warm", namespace: "shop" });
  await stage.kubelet.publish(warm);
  await stage.kubelet.unpublish(warm);
  const volume = stage.kubelet.admit({ name: "web-0", namespace: "shop" });
  await stage.kubelet.note(volume);
  service.signal("SIGSTOP");
  try {
    await test(stage, volume, service);
  } finally {
    service.signal("SIGCONT");
  }
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return await call.then(() => "OK", (error: RpcError) => status[error.code]);
}

Deno.test({
  name:
    "a kubelet that times out and retries while the first call runs gets one certificate and one mount",
  ignore,
  async fn() {
    await frozen(async (stage, volume, service) => {
      const recoveries = new Recoveries();
      using node = stage.kubelet.node();
      const request = publishRequest(volume);
      const first = codeOf(node.nodePublishVolume(request, { timeoutMs: 500 }));
      const long = codeOf(node.nodePublishVolume(request, { timeoutMs: 15_000 }));
      assert.equal(await first, "DEADLINE_EXCEEDED");
      assert.equal(await long, "ABORTED");
      service.signal("SIGCONT");
      await recoveries.time(() => retried(() => stage.kubelet.publish(volume)));
      const { serialNumber } = await wholePair(volume);
      await stage.kubelet.publish(volume);
      assert.equal((await wholePair(volume)).serialNumber, serialNumber);
      await assertExactly(stage, [volume]);
      recoveries.tell("a call timed out");
    });
  },
});

Deno.test({
  name: "a publish that the kubelet cancels leaves nothing, also when the certificate comes later",
  ignore,
  async fn() {
    await frozen(async (stage, volume, service) => {
      using node = stage.kubelet.node();
      const giveUp = new AbortController();
      const call = codeOf(
        node.nodePublishVolume(publishRequest(volume), { signal: giveUp.signal }),
      );
      await new Promise((resolve) => setTimeout(resolve, 200));
      giveUp.abort();
      assert.equal(await call, "CANCELLED");
      service.signal("SIGCONT");
      await retried(() => node.nodeUnpublishVolume(volume).then(() => {}));
      await assert.rejects(Deno.lstat(volume.targetPath), Deno.errors.NotFound);
      await assertExactly(stage, []);
    });
  },
});

Deno.test({
  name: "an unpublish during a publish is told to try again, and then takes everything away",
  ignore,
  async fn() {
    await frozen(async (stage, volume, service) => {
      using node = stage.kubelet.node();
      const publishing = codeOf(node.nodePublishVolume(publishRequest(volume)));
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(await codeOf(node.nodeUnpublishVolume(volume)), "ABORTED");
      service.signal("SIGCONT");
      assert.equal(await publishing, "OK");
      await stage.kubelet.unpublish(volume);
      await assertExactly(stage, []);
    });
  },
});

Deno.test({
  name: "a publish for a pod that is going: whichever call comes last, nothing stays behind",
  ignore,
  async fn() {
    await using stage = await openStage();
    await stage.startService();
    const driver = await stage.startDriver({ CHECK_INTERVAL: "10s" });
    await stage.kubelet.register();
    const volume = stage.kubelet.admit({ name: "web-0", namespace: "shop" });
    await stage.kubelet.publish(volume);
    await stage.kubelet.unpublish(volume);
    // A call that was on its way when the pod went: nobody will ever unpublish it.
    using node = stage.kubelet.node();
    await node.nodePublishVolume(publishRequest(volume));
    await driver.logged(({ message }) => message.startsWith("removed the volume"));
    await assert.rejects(Deno.lstat(volume.targetPath), Deno.errors.NotFound);
    await assertExactly(stage, []);
  },
});
