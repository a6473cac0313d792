import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { dirname } from "node:path";
import type { TestEnvironment } from "../../scripts/demo/test_environment.ts";
import type { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { type PodVolume, publishRequest } from "../../scripts/support/kubelet.ts";
import type { Program } from "../../scripts/support/programs.ts";
import {
  admit,
  assertExactly,
  faultTest,
  Recoveries,
  retried,
  unpublishAll,
  wholePair,
} from "./fault_environment.ts";

/** A test with a frozen service, so that a publish hangs while it requests its certificate. */
function frozenServiceTest(
  name: string,
  test: (environment: TestEnvironment, volume: PodVolume, service: Program) => Promise<void>,
): void {
  faultTest(name, async (environment) => {
    const { service } = await environment.startPrograms();
    const warm = admit(environment, "warm");
    await environment.kubelet.publish(warm);
    await environment.kubelet.unpublish(warm);
    const volume = admit(environment);
    await environment.kubelet.note(volume);
    service.signal("SIGSTOP");
    try {
      await test(environment, volume, service);
    } finally {
      service.signal("SIGCONT");
    }
  });
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return await call.then(() => "OK", (error: RpcError) => status[error.code]);
}

frozenServiceTest(
  "a kubelet that times out and retries while the first call runs gets one certificate and one mount",
  async (environment, volume, service) => {
    const recoveries = new Recoveries();
    using node = environment.kubelet.node();
    const request = publishRequest(volume);
    const first = codeOf(node.nodePublishVolume(request, { timeoutMs: 500 }));
    const long = codeOf(node.nodePublishVolume(request, { timeoutMs: 15_000 }));
    assert.equal(await first, "DEADLINE_EXCEEDED");
    assert.equal(await long, "ABORTED");
    service.signal("SIGCONT");
    await recoveries.time(() => retried(() => environment.kubelet.publish(volume)));
    const { serialNumber } = await wholePair(volume);
    await environment.kubelet.publish(volume);
    assert.equal((await wholePair(volume)).serialNumber, serialNumber);
    await assertExactly(environment, [volume]);
    recoveries.report("a call timed out");
  },
);

frozenServiceTest(
  "a publish that the kubelet cancels leaves nothing, also when the certificate arrives later",
  async (environment, volume, service) => {
    using node = environment.kubelet.node();
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
    await assertExactly(environment, []);
  },
);

frozenServiceTest(
  "an unpublish during a publish is answered with ABORTED, and its repetition removes everything",
  async (environment, volume, service) => {
    using node = environment.kubelet.node();
    const publishing = codeOf(node.nodePublishVolume(publishRequest(volume)));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(await codeOf(node.nodeUnpublishVolume(volume)), "ABORTED");
    service.signal("SIGCONT");
    assert.equal(await publishing, "OK");
    await unpublishAll(environment, [volume]);
  },
);

faultTest(
  "a publish for a pod that is being deleted: whichever call is last, nothing remains",
  async (environment) => {
    await environment.startService();
    const driver = await environment.startDriver({ CHECK_INTERVAL: "10s" });
    await environment.kubelet.register();
    const volume = admit(environment);
    await environment.kubelet.publish(volume);
    await environment.kubelet.unpublish(volume);
    // Calls that were under way when the pod was deleted: no unpublish follows them.
    using node = environment.kubelet.node();
    const publish = () => node.nodePublishVolume(publishRequest(volume));
    assert.equal(await codeOf(publish()), "FAILED_PRECONDITION", "the directory above is gone");
    await assertExactly(environment, []);
    await Deno.mkdir(dirname(volume.targetPath), { recursive: true });
    await publish();
    await driver.logged(({ message }) => message.startsWith("removed the volume"));
    await assert.rejects(Deno.lstat(volume.targetPath), Deno.errors.NotFound);
    await assertExactly(environment, []);
  },
);
