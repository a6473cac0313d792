import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { TestEnvironment } from "../../scripts/demo/test_environment.ts";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import type { Program } from "../../scripts/support/programs.ts";
import {
  assertExactly,
  assertMounts,
  eventually,
  faultTest,
  isRecent,
  isRuntimeAbort,
  makeDue,
  recordPath,
  Recoveries,
  steppable,
  unpublishAll,
  wholePair,
} from "./fault_environment.ts";

const pod = { name: "web-0", namespace: "shop" };

/** Starts the driver with steps, which counts those of the volume VICTIM. */
function startSteppable(
  environment: TestEnvironment,
  env: Record<string, string> = {},
): Promise<Program> {
  return environment.startDriver({ PLAIN: String(environment.options.plain), ...env }, steppable);
}

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
  const driver = await startSteppable(environment, { VICTIM: uid });
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
      const driver = await startSteppable(environment, victim);
      if (!damaged) return driver;
      try {
        await heal(damaged.volume, driver);
        return driver;
      } catch (error) {
        const isRunning = driver.signal("SIGCONT");
        if (isRunning || !isRuntimeAbort(await driver.ended())) failedAfter(damaged.step)(error);
        const next = await startSteppable(environment, victim);
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

for (const plain of [false, true]) {
  const where = plain ? ", in plain directories" : "";
  const atAnyStep = (of: string, test: (environment: TestEnvironment) => Promise<void>) =>
    faultTest(`a driver killed at any step of ${of}${where}`, test, { plain });
  atAnyStep("a publish: the kubelet's retry makes one whole volume", killedInPublish);
  atAnyStep("an unpublish: the kubelet's retry leaves nothing behind", killedInUnpublish);
  atAnyStep(
    "a renewal: the pod always sees a whole pair, and the renewal is completed",
    killedInRenewal,
  );
}

async function killedInPublish(environment: TestEnvironment): Promise<void> {
  const steps = await undisturbedSteps(environment, ["issue", "publish", "save"]);
  assert.ok(steps.length > 30, `${steps.length} steps: ${steps.join(", ")}`);
  await killedAtEach(environment, steps, {}, async (_driver, uid) => {
    const volume = environment.kubelet.admit(pod, uid);
    await assert.rejects(environment.kubelet.publish(volume));
    return volume;
  }, async (volume) => {
    await environment.kubelet.publish(volume);
    await assertExactly(environment, [volume]);
    await unpublishAll(environment, [volume]);
  });
}

async function killedInUnpublish(environment: TestEnvironment): Promise<void> {
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
}

async function killedInRenewal(environment: TestEnvironment): Promise<void> {
  await environment.startService();
  const uids = [randomUUID(), randomUUID()] as const;
  const publishing = await startSteppable(environment);
  await environment.kubelet.register();
  const volumes = uids.map((uid) => environment.kubelet.admit(pod, uid));
  for (const volume of volumes) await environment.kubelet.publish(volume);
  await publishing.stop();
  const [first, second] = volumes as [PodVolume, PodVolume];
  // The first renewal leaves the set of files that the second one removes.
  await renewed(environment, volumes);
  const steps = await renewed(environment, [first]);
  assert.ok(steps.length > 30, `${steps.length} steps: ${steps.join(", ")}`);
  const recoveries = new Recoveries();
  let [victim, healing] = [second, first];
  for (const step of steps) {
    await makeDue(environment, victim);
    const env = { VICTIM: victim.uid, DIE_BEFORE: step, WAIT: "true" };
    const driver = await recoveries.time(async () => {
      const driver = await startSteppable(environment, env);
      await eventually(() => assertRenewed(environment, healing)).catch(failedAfter(step));
      return driver;
    });
    assertKilled(await driver.stop("SIGUSR2"), step);
    for (const volume of volumes) await wholePair(volume).catch(failedAfter(step));
    await assertMounts(environment, volumes);
    [victim, healing] = [healing, victim];
  }
  await startSteppable(environment);
  await eventually(() => assertRenewed(environment, healing));
  await eventually(() => assertExactly(environment, volumes));
  recoveries.report("killed and started again");
  await unpublishAll(environment, volumes);
}

/** Renews these volumes by a driver of their own; the steps are those of the first one. */
async function renewed(
  environment: TestEnvironment,
  volumes: readonly PodVolume[],
): Promise<string[]> {
  for (const volume of volumes) await makeDue(environment, volume);
  const driver = await startSteppable(environment, { VICTIM: volumes[0]?.uid ?? "" });
  for (const volume of volumes) {
    await driver.logged(({ message, podUid }) =>
      message.startsWith("renewed") && podUid === volume.uid
    );
  }
  return await stepsOf(driver, ["issue", "replace", "save"]);
}

/** The record is of the certificate in the mount, and no renewal is due. */
async function assertRenewed(environment: TestEnvironment, volume: PodVolume): Promise<void> {
  const leaf = await wholePair(volume);
  const record = JSON.parse(await Deno.readTextFile(recordPath(environment, volume)));
  assert.equal(record.serialNumber, leaf.serialNumber);
  assert.ok(isRecent(record), "the renewal is done");
}
