import assert from "node:assert/strict";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import {
  admit,
  assertExactly,
  faultTest,
  isRuntimeAbort,
  makeDue,
  Recoveries,
  retried,
  wholePair,
} from "./fault_environment.ts";

faultTest(
  "a service killed before, during and after a publish: the kubelet's retry makes one whole volume",
  async (environment) => {
    const recoveries = new Recoveries();
    let service = await environment.startService();
    const driver = await environment.startDriver();
    await environment.kubelet.register();
    const [before, during, after] = [
      admit(environment, "a"),
      admit(environment, "b"),
      admit(environment, "c"),
    ];
    const comeBack = async (volume: PodVolume) => {
      await recoveries.time(async () => {
        service = await environment.startService();
        await retried(() => environment.kubelet.publish(volume));
      });
    };
    await service.stop("SIGKILL");
    await assert.rejects(environment.kubelet.publish(before), /cannot be used now|could not/);
    await assert.rejects(Deno.lstat(before.targetPath), Deno.errors.NotFound);
    await comeBack(before);
    // Frozen, it has the request and has not answered.
    service.signal("SIGSTOP");
    const publishing = assert.rejects(environment.kubelet.publish(during));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await service.stop("SIGKILL");
    await publishing;
    await comeBack(during);
    await environment.kubelet.publish(after);
    const { serialNumber } = await wholePair(after);
    await service.stop("SIGKILL");
    await environment.kubelet.publish(after);
    assert.equal((await wholePair(after)).serialNumber, serialNumber);
    await comeBack(after);
    assert.equal((await wholePair(after)).serialNumber, serialNumber);
    await assertExactly(environment, [before, during, after]);
    assert.equal((await driver.stop()).code, 0);
    recoveries.report("the service was killed");
  },
);

faultTest(
  "a renewal that becomes due while the service is away: the old pair remains, the new one follows within a minute",
  async (environment) => {
    const recoveries = new Recoveries();
    const { service, driver: first } = await environment.startPrograms();
    // Between two requests for it there is a pause of a twentieth of its lifetime.
    const attributes = { duration: "10m" };
    const volume = environment.kubelet.admit({ name: "web-0", namespace: "shop", attributes });
    await environment.kubelet.publish(volume);
    const { serialNumber } = await wholePair(volume);
    await first.stop();
    await service.stop("SIGKILL");
    await makeDue(environment, volume);
    const driver = await environment.startDriver();
    await driver.logged(({ message }) => message.startsWith("could not renew"));
    await environment.kubelet.publish(volume);
    assert.equal((await wholePair(volume)).serialNumber, serialNumber);
    await recoveries.time(async () => {
      await environment.startService();
      await driver.logged(({ message }) => message.startsWith("renewed"));
    });
    assert.notEqual((await wholePair(volume)).serialNumber, serialNumber);
    await assertExactly(environment, [volume]);
    recoveries.report("the service returned while a renewal was due");
  },
);

faultTest("a service that is stopped and started ten times ends no driver", async (environment) => {
  let service = await environment.startService();
  const driver = await environment.startDriver();
  await environment.kubelet.register();
  const volumes: PodVolume[] = [];
  for (let round = 0; round < 10; round++) {
    const some = Array.from(
      { length: 4 },
      (_, each) => admit(environment, `web-${round}-${each}`),
    );
    await Promise.all(some.map((volume) => retried(() => environment.kubelet.publish(volume))));
    volumes.push(...some);
    const end = await service.stop("SIGTERM");
    assert.ok(end.code === 0 || isRuntimeAbort(end), service.tail());
    service = await environment.startService();
  }
  await assertExactly(environment, volumes);
  const end = await driver.stop();
  assert.ok(end.code === 0 || isRuntimeAbort(end), driver.tail());
});
