import assert from "node:assert/strict";
import type { Stage } from "../../scripts/demo/stage.ts";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import {
  assertExactly,
  ignore,
  isRuntimeAbort,
  makeDue,
  openStage,
  Recoveries,
  retried,
  wholePair,
} from "./fault_stage.ts";

function admit(stage: Stage, name: string): PodVolume {
  return stage.kubelet.admit({ name, namespace: "shop" });
}

Deno.test({
  name:
    "a service killed before, during and after a publish: the kubelet's retry makes one whole volume",
  ignore,
  async fn() {
    await using stage = await openStage();
    const recoveries = new Recoveries();
    let service = await stage.startService();
    const driver = await stage.startDriver();
    await stage.kubelet.register();
    const [before, during, after] = [admit(stage, "a"), admit(stage, "b"), admit(stage, "c")];
    const comeBack = async (volume: PodVolume) => {
      await recoveries.time(async () => {
        service = await stage.startService();
        await retried(() => stage.kubelet.publish(volume));
      });
    };
    await service.stop("SIGKILL");
    await assert.rejects(stage.kubelet.publish(before), /cannot be used now|could not/);
    await assert.rejects(Deno.lstat(before.targetPath), Deno.errors.NotFound);
    await comeBack(before);
    // Frozen, it has the request and has not answered.
    service.signal("SIGSTOP");
    const publishing = assert.rejects(stage.kubelet.publish(during));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await service.stop("SIGKILL");
    await publishing;
    await comeBack(during);
    await stage.kubelet.publish(after);
    const { serialNumber } = await wholePair(after);
    await service.stop("SIGKILL");
    await stage.kubelet.publish(after);
    assert.equal((await wholePair(after)).serialNumber, serialNumber);
    await comeBack(after);
    assert.equal((await wholePair(after)).serialNumber, serialNumber);
    await assertExactly(stage, [before, during, after]);
    assert.equal((await driver.stop()).code, 0);
    recoveries.tell("the service was killed");
  },
});

Deno.test({
  name:
    "a renewal that falls due while the service is away: the old pair stays, the new one comes within a minute",
  ignore,
  async fn() {
    await using stage = await openStage();
    const recoveries = new Recoveries();
    const service = await stage.startService();
    const first = await stage.startDriver();
    await stage.kubelet.register();
    const volume = admit(stage, "web-0");
    await stage.kubelet.publish(volume);
    const { serialNumber } = await wholePair(volume);
    await first.stop();
    await service.stop("SIGKILL");
    await makeDue(stage, volume);
    const driver = await stage.startDriver();
    await driver.logged(({ message }) => message.startsWith("could not renew"));
    await stage.kubelet.publish(volume);
    assert.equal((await wholePair(volume)).serialNumber, serialNumber);
    await recoveries.time(async () => {
      await stage.startService();
      await driver.logged(({ message }) => message.startsWith("renewed"));
    });
    assert.notEqual((await wholePair(volume)).serialNumber, serialNumber);
    await assertExactly(stage, [volume]);
    recoveries.tell("the service came back to a renewal that was due");
  },
});

Deno.test({
  name: "a service that is stopped and started ten times takes no driver with it",
  ignore,
  async fn() {
    await using stage = await openStage();
    let service = await stage.startService();
    const driver = await stage.startDriver();
    await stage.kubelet.register();
    const volumes: PodVolume[] = [];
    for (let round = 0; round < 10; round++) {
      const some = Array.from({ length: 4 }, (_, each) => admit(stage, `web-${round}-${each}`));
      await Promise.all(some.map((volume) => retried(() => stage.kubelet.publish(volume))));
      volumes.push(...some);
      const end = await service.stop("SIGTERM");
      assert.ok(end.code === 0 || isRuntimeAbort(end), service.tail());
      service = await stage.startService();
    }
    await assertExactly(stage, volumes);
    const end = await driver.stop();
    assert.ok(end.code === 0 || isRuntimeAbort(end), driver.tail());
  },
});
