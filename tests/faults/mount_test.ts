import assert from "node:assert/strict";
import { mountsBelow, type TestEnvironment } from "../../scripts/demo/test_environment.ts";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import type { Program } from "../../scripts/support/programs.ts";
import {
  admit,
  assertExactly,
  eventually,
  faultTest,
  isRuntimeAbort,
  Recoveries,
  retried,
  run,
  unpublishAll,
  wholePair,
} from "./fault_environment.ts";

async function published(
  environment: TestEnvironment,
): Promise<{ driver: Program; volume: PodVolume }> {
  const { driver } = await environment.startPrograms();
  const volume = admit(environment);
  await environment.kubelet.publish(volume);
  return { driver, volume };
}

faultTest(
  "a volume that was unmounted without the driver is mounted at the next republish",
  async (environment) => {
    const { volume } = await published(environment);
    const recoveries = new Recoveries();
    for (const how of [[], ["--lazy"]]) {
      await run("umount", ...how, volume.targetPath);
      await recoveries.time(() => environment.kubelet.publish(volume));
      await assertExactly(environment, [volume]);
    }
    await run("umount", volume.targetPath);
    await Deno.remove(volume.targetPath);
    await recoveries.time(() => environment.kubelet.publish(volume));
    await assertExactly(environment, [volume]);
    await unpublishAll(environment, [volume]);
    recoveries.report("a volume was unmounted");
  },
);

faultTest(
  "a restarted node, whose mounts are lost, has its volumes again before the kubelet calls",
  async (environment) => {
    const { driver, volume } = await published(environment);
    const recoveries = new Recoveries();
    await driver.stop("SIGKILL");
    await run("umount", volume.targetPath);
    await recoveries.time(async () => {
      await environment.startDriver();
      await eventually(() => assertExactly(environment, [volume]));
    });
    recoveries.report("all mounts were lost");
  },
);

faultTest("an empty tmpfs of an earlier driver is filled in place", async (environment) => {
  const { volume } = await published(environment);
  await run("umount", volume.targetPath);
  const mount = ["-t", "tmpfs", "-o", "nosuid,nodev,noexec", "csi.k8s.cert-driver"];
  await run("mount", ...mount, volume.targetPath);
  await environment.kubelet.publish(volume);
  await assertExactly(environment, [volume]);
  await unpublishAll(environment, [volume]);
});

faultTest(
  "a file, a link or another program's mount at the target is reported and kept, and ends no driver",
  async (environment) => {
    const { driver, volume } = await published(environment);
    const { targetPath } = volume;
    const places: [string, () => Promise<void>, () => Promise<void>][] = [
      ["a file", () => Deno.writeTextFile(targetPath, "precious"), () => Deno.remove(targetPath)],
      ["a link", () => Deno.symlink(environment.base, targetPath), () => Deno.remove(targetPath)],
      ["another's mount", async () => {
        await Deno.mkdir(targetPath);
        await run("mount", "-t", "tmpfs", "other", targetPath);
      }, async () => {
        await run("umount", targetPath);
      }],
    ];
    await run("umount", targetPath);
    await Deno.remove(targetPath);
    for (const [what, place, clear] of places) {
      await place();
      await assert.rejects(
        environment.kubelet.publish(volume),
        /not this driver's|is not a directory/,
        what,
      );
      using node = environment.kubelet.node();
      await assert.rejects(node.nodeUnpublishVolume(volume), /not this driver's/, what);
      await clear();
      await environment.kubelet.publish(volume);
      await assertExactly(environment, [volume]);
      await run("umount", targetPath);
      if (what !== "another's mount") await Deno.remove(targetPath);
    }
    assert.equal((await driver.stop()).code, 0);
  },
);

faultTest(
  "a plain directory at the target is mounted over, and its contents are never removed",
  async (environment) => {
    const { volume } = await published(environment);
    await run("umount", volume.targetPath);
    await Deno.writeTextFile(`${volume.targetPath}/notes`, "precious");
    await environment.kubelet.publish(volume);
    await assertExactly(environment, [volume]);
    await assert.rejects(environment.kubelet.unpublish(volume), /notes.*move it away/);
    assert.equal(await Deno.readTextFile(`${volume.targetPath}/notes`), "precious");
    await Deno.remove(`${volume.targetPath}/notes`);
    await unpublishAll(environment, [volume]);
  },
);

faultTest(
  "a thousand republishes and fifty restarts leave one mount and the one certificate",
  async (environment) => {
    let { driver, volume } = await published(environment);
    const { serialNumber } = await wholePair(volume);
    const recoveries = new Recoveries();
    for (let restart = 0; restart < 50; restart++) {
      const republish = () => retried(() => environment.kubelet.publish(volume));
      await Promise.all(Array.from({ length: 20 }, republish));
      const end = await driver.stop(restart % 2 === 0 ? "SIGKILL" : "SIGTERM");
      const endedAsExpected = end.signal === "SIGKILL" || end.code === 0 || isRuntimeAbort(end);
      assert.ok(endedAsExpected, driver.tail());
      driver = await recoveries.time(() => environment.startDriver());
    }
    assert.deepEqual(await mountsBelow(environment.base), [
      volume.targetPath,
      `${environment.recordsDir}/.staging`,
    ]);
    assert.equal((await wholePair(volume)).serialNumber, serialNumber);
    await assertExactly(environment, [volume]);
    recoveries.report("the driver was restarted");
  },
);
