import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mountsBelow, type TestEnvironment } from "../../scripts/demo/test_environment.ts";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import type { Program } from "../../scripts/support/programs.ts";
import {
  assertExactly,
  eventually,
  faultTest,
  isRuntimeAbort,
  makeDue,
  recordPath,
  Recoveries,
  steppable,
  unpublishAll,
  wholePair,
} from "./fault_environment.ts";

const pod = { name: "web-0", namespace: "shop" };

/** The names of the steps of these ports, in the order of an undisturbed run. */
async function stepsOf(driver: Program, ports: string[]): Promise<string[]> {
  await driver.stop("SIGTERM");
  const names = driver.output.split("\n").filter((line) => line.includes('"step"'))
    .map((line): string => JSON.parse(line).step);
  return names.filter((name) => ports.some((port) => name.startsWith(`${port}:`)));
}

/** The names of the steps of these ports in a publish and an unpublish. */
async function undisturbedSteps(environment: TestEnvironment, ports: string[]): Promise<string[]> {
  await environment.startService();
  const uid = randomUUID();
  const driver = await environment.startDriver({ VICTIM: uid }, steppable);
  await environment.kubelet.register();
  const volume = environment.kubelet.admit(pod, uid);
  await environment.kubelet.publish(volume);
  await environment.kubelet.unpublish(volume);
  return await stepsOf(driver, ports);
}

function assertKilled(status: Deno.CommandStatus, step: string): void {
  if (isRuntimeAbort(status)) return;
  assert.equal(status.signal, "SIGKILL", `the driver died before "${step}"`);
}

/** Each driver first repairs at its start the volume at which the last one was killed. */
async function killedAtEach(
  environment: TestEnvironment,
  steps: readonly string[],
  env: Record<string, string>,
  die: (driver: Program, uid: string) => Promise<PodVolume>,
  heal: (volume: PodVolume, driver: Program) => Promise<void>,
): Promise<void> {
  const recoveries = new Recoveries();
  let damaged: { volume: PodVolume; step: string } | undefined;
  for (const step of [...steps, undefined]) {
    const uid = randomUUID();
    await recoveries.time(async () => {
      const victim = { VICTIM: uid, ...env, ...(step === undefined ? {} : { DIE_BEFORE: step }) };
      const driver = await environment.startDriver(victim, steppable);
      if (!damaged) return driver;
      try {
        await heal(damaged.volume, driver);
        return driver;
      } catch (error) {
        const isRunning = driver.signal("SIGCONT");
        if (isRunning || !isRuntimeAbort(await driver.ended())) failedAfter(damaged.step)(error);
        const next = await environment.startDriver(victim, steppable);
        await heal(damaged.volume, next).catch(failedAfter(damaged.step));
        return next;
      }
    }).then(async (driver) => {
      if (step === undefined) return await driver.stop();
      damaged = { volume: await die(driver, uid), step };
      assertKilled(await driver.ended(), step);
    });
  }
  recoveries.report("killed and started again");
}

function failedAfter(step: string): (error: unknown) => never {
  return (cause) => {
    throw new Error(`after the driver was killed before "${step}": ${cause}`, { cause });
  };
}

faultTest(
  "a driver killed at any step of a publish: the kubelet's retry makes one whole volume",
  async (environment) => {
    const steps = await undisturbedSteps(environment, ["issue", "publish", "save"]);
    assert.ok(steps.length > 25, `${steps.length} steps: ${steps.join(", ")}`);
    await killedAtEach(environment, steps, {}, async (_driver, uid) => {
      const volume = environment.kubelet.admit(pod, uid);
      await assert.rejects(environment.kubelet.publish(volume));
      return volume;
    }, async (volume) => {
      await environment.kubelet.publish(volume);
      await assertExactly(environment, [volume]);
      await unpublishAll(environment, [volume]);
    });
  },
);

faultTest(
  "a driver killed at any step of an unpublish: the kubelet's retry leaves nothing behind",
  async (environment) => {
    const steps = await undisturbedSteps(environment, ["unpublish", "remove"]);
    assert.ok(steps.length > 8, `${steps.length} steps: ${steps.join(", ")}`);
    await killedAtEach(environment, steps, {}, async (_driver, uid) => {
      const volume = environment.kubelet.admit(pod, uid);
      await environment.kubelet.publish(volume);
      await assert.rejects(environment.kubelet.unpublish(volume));
      return volume;
    }, async (volume) => {
      await unpublishAll(environment, [volume]);
    });
  },
);

faultTest(
  "a driver killed at any step of a renewal: the pod always sees a whole pair, and the renewal is completed",
  async (environment) => {
    await environment.startService();
    const uids = [randomUUID(), randomUUID()] as const;
    const undisturbed = await environment.startDriver({}, steppable);
    await environment.kubelet.register();
    const volumes = uids.map((uid) => environment.kubelet.admit(pod, uid));
    for (const volume of volumes) await environment.kubelet.publish(volume);
    await undisturbed.stop();
    const [first, second] = volumes as [PodVolume, PodVolume];
    await makeDue(environment, first);
    const renewing = await environment.startDriver({ VICTIM: first.uid }, steppable);
    await renewing.logged(({ message }) => message.startsWith("renewed"));
    const steps = await stepsOf(renewing, ["issue", "replace", "save"]);
    assert.ok(steps.length > 20, `${steps.length} steps: ${steps.join(", ")}`);
    const recoveries = new Recoveries();
    let [victim, healing] = [second, first];
    for (const step of steps) {
      await makeDue(environment, victim);
      const env = { VICTIM: victim.uid, DIE_BEFORE: step, WAIT: "true" };
      const driver = await recoveries.time(async () => {
        const driver = await environment.startDriver(env, steppable);
        await eventually(() => assertRenewed(environment, healing)).catch(failedAfter(step));
        return driver;
      });
      assertKilled(await driver.stop("SIGUSR2"), step);
      for (const volume of volumes) await wholePair(volume).catch(failedAfter(step));
      const targets = (await mountsBelow(environment.kubelet.root)).sort();
      assert.deepEqual(targets, volumes.map(({ targetPath }) => targetPath).sort());
      [victim, healing] = [healing, victim];
    }
    await environment.startDriver();
    await eventually(() => assertRenewed(environment, healing));
    await eventually(() => assertExactly(environment, volumes));
    recoveries.report("killed and started again");
    await unpublishAll(environment, volumes);
  },
);

/** The record is of the certificate in the mount, and no renewal is due. */
async function assertRenewed(environment: TestEnvironment, volume: PodVolume): Promise<void> {
  const leaf = await wholePair(volume);
  const record = JSON.parse(await Deno.readTextFile(recordPath(environment, volume)));
  assert.equal(record.serialNumber, leaf.serialNumber);
  assert.ok(record.issuedAt > "2001", "the renewal is done");
}
