import assert from "node:assert/strict";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import {
  admit,
  assertExactly,
  eventually,
  faultTest,
  recordNames,
  recordPath,
  run,
  unpublishAll,
} from "./fault_environment.ts";

faultTest(
  "what a killed driver left is removed at the start and by the sweep, and nothing that a pod uses",
  async (environment) => {
    const { driver: first } = await environment.startPrograms();
    const used = admit(environment, "used");
    const unrecorded = admit(environment, "unrecorded");
    const gone = admit(environment, "gone");
    const lost = admit(environment, "lost");
    const broken = admit(environment, "broken");
    const all = [used, unrecorded, gone, lost, broken];
    for (const volume of all) await environment.kubelet.publish(volume);
    await first.stop("SIGKILL");
    const directoryOf = (volume: PodVolume) =>
      recordPath(environment, volume).replace("/volume.json", "");
    const forget = async ({ targetPath }: PodVolume) =>
      await Deno.remove(targetPath.replace(/mount$/, "vol_data.json"));
    // Mounted, without a record; the pod exists.
    await Deno.remove(directoryOf(unrecorded), { recursive: true });
    // Recorded and mounted; the kubelet no longer has it.
    await forget(gone);
    // Mounted, without a record, and unknown to the kubelet.
    await Deno.remove(directoryOf(lost), { recursive: true });
    await forget(lost);
    // A record that cannot be read, of a pod that was deleted with its mount.
    await Deno.writeTextFile(recordPath(environment, broken), "{");
    await run("umount", broken.targetPath);
    await Deno.remove(broken.targetPath);
    await forget(broken);
    const temporary = `${directoryOf(used)}/.volume.json.0123456789abcdef`;
    await Deno.writeTextFile(temporary, "half of a rec");
    const driver = await environment.startDriver({ CHECK_INTERVAL: "10s" });
    const restored = await driver.logged(({ message }) => message.startsWith("restored"));
    assert.deepEqual([restored.healthy, restored.removed, restored.unreadable], [1, 1, 1]);
    for (const { targetPath } of [gone, lost]) {
      await assert.rejects(Deno.lstat(targetPath), Deno.errors.NotFound);
    }
    await assert.rejects(Deno.lstat(temporary), Deno.errors.NotFound);
    // The sweep, ten seconds later, removes what cannot be read; the republish adopts what has no record.
    await eventually(async () => {
      await Promise.resolve();
      assert.deepEqual(recordNames(environment).length, 1);
    }, 15_000);
    await environment.kubelet.publish(unrecorded);
    await assertExactly(environment, [used, unrecorded]);
    await unpublishAll(environment, [used, unrecorded]);
  },
);
