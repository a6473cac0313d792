import assert from "node:assert/strict";
import { join } from "node:path";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import {
  assertExactly,
  ignore,
  openStage,
  recordNames,
  recordPath,
  Recoveries,
  run,
  wholePair,
} from "./fault_stage.ts";
import { persistently } from "./persistence.ts";

type Damage = (path: string, outside: string) => Promise<void>;

/** What can become of a record while the driver is away; `path` is its volume.json. */
const damages: Readonly<Record<string, Damage>> = {
  "truncated": async (path) => await Deno.truncate(path, 100),
  "empty": async (path) => await Deno.truncate(path, 0),
  "of a newer version": async (path) => await change(path, { version: 2 }),
  "with another volume's id": async (path) => await change(path, { volumeId: "csi-other" }),
  "with binary rubbish": async (path) => await Deno.writeFile(path, new Uint8Array([0, 255, 128])),
  "replaced by a directory": async (path) => {
    await Deno.remove(path);
    await Deno.mkdir(path);
    await Deno.writeTextFile(`${path}/inside`, "x");
  },
  "replaced by a link to elsewhere": async (path, outside) => {
    await Deno.rename(path, `${outside}/volume.json`);
    await Deno.symlink(`${outside}/volume.json`, path);
  },
  "whose directory is a link to elsewhere": async (path, outside) => {
    const directory = join(path, "..");
    await Deno.rename(directory, `${outside}/record`);
    await Deno.symlink(`${outside}/record`, directory);
  },
  "whose directory is a file": async (path) => {
    await Deno.remove(join(path, ".."), { recursive: true });
    await Deno.writeTextFile(join(path, ".."), "a file");
  },
};

async function change(path: string, fields: object): Promise<void> {
  const record = JSON.parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify({ ...record, ...fields }));
}

Deno.test({
  name:
    "a damaged record: the driver starts, and the next republish writes it anew without issuing again",
  ignore,
  async fn() {
    await using stage = await openStage();
    const recoveries = new Recoveries();
    await stage.startService();
    const first = await stage.startDriver();
    await stage.kubelet.register();
    const volumes = new Map<string, { volume: PodVolume; serialNumber: string }>();
    for (const [index, name] of Object.keys(damages).entries()) {
      const volume = stage.kubelet.admit({ name: `web-${index}`, namespace: "shop" });
      await stage.kubelet.publish(volume);
      volumes.set(name, { volume, serialNumber: (await wholePair(volume)).serialNumber });
    }
    await first.stop();
    for (const [name, { volume }] of volumes) {
      const outside = `${stage.base}/outside ${name}`;
      await Deno.mkdir(outside);
      await damages[name]?.(recordPath(stage, volume), outside);
    }
    const outside = await textsBelow(stage.base, "outside");
    const driver = await stage.startDriver();
    const restored = await driver.logged(({ message }) => message.startsWith("restored"));
    assert.deepEqual([restored.healthy, restored.unreadable], [0, volumes.size]);
    for (const [name, { volume, serialNumber }] of volumes) {
      await recoveries.time(() => stage.kubelet.publish(volume));
      assert.equal((await wholePair(volume)).serialNumber, serialNumber, `a record ${name}`);
    }
    await assertExactly(stage, [...volumes.values()].map(({ volume }) => volume));
    assert.deepEqual(await textsBelow(stage.base, "outside"), outside, "no link was followed");
    for (const { volume } of volumes.values()) await stage.kubelet.unpublish(volume);
    assert.deepEqual(recordNames(stage), []);
    recoveries.tell("a record was damaged");
  },
});

Deno.test({
  name:
    "a loss of power takes the mounts and leaves the records in any state: the kubelet's calls make every volume whole",
  ignore,
  async fn() {
    await using stage = await openStage();
    const recoveries = new Recoveries();
    await stage.startService();
    const first = await stage.startDriver();
    await stage.kubelet.register();
    const lost: Readonly<Record<string, Damage>> = {
      "on the disk": () => Promise.resolve(),
      "as blocks of zeros": (path) => Deno.writeFile(path, new Uint8Array(4096)),
      "cut off": (path) => Deno.truncate(path, 100),
      "empty": (path) => Deno.truncate(path, 0),
      "under its temporary name": (path) =>
        Deno.rename(path, join(path, "../.volume.json.0123456789abcdef")),
      "not at all": (path) => Deno.remove(join(path, ".."), { recursive: true }),
    };
    const volumes: PodVolume[] = [];
    for (const index of Object.keys(lost).keys()) {
      const volume = stage.kubelet.admit({ name: `web-${index}`, namespace: "shop" });
      await stage.kubelet.publish(volume);
      volumes.push(volume);
    }
    await first.stop("SIGKILL");
    for (const [index, damage] of Object.values(lost).entries()) {
      const volume = volumes[index]!;
      await run("umount", volume.targetPath);
      await damage(recordPath(stage, volume), "");
    }
    const driver = await stage.startDriver();
    const restored = await driver.logged(({ message }) => message.startsWith("restored"));
    assert.deepEqual([restored.healthy, restored.repaired, restored.unreadable], [0, 1, 3]);
    for (const volume of volumes) {
      // The driver repairs by itself what has its record; the kubelet tries again meanwhile.
      await recoveries.time(() => persistently(() => stage.kubelet.publish(volume)));
      await wholePair(volume);
    }
    await assertExactly(stage, volumes);
    for (const volume of volumes) await stage.kubelet.unpublish(volume);
    assert.deepEqual(recordNames(stage), []);
    recoveries.tell("the power came back");
  },
});

/** Every file below the directories whose name begins so, with its text. */
async function textsBelow(base: string, begin: string): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  const walk = async (directory: string) => {
    for await (const { name, isDirectory } of Deno.readDir(directory)) {
      const path = `${directory}/${name}`;
      if (isDirectory) await walk(path);
      else texts[path] = await Deno.readTextFile(path);
    }
  };
  for await (const { name } of Deno.readDir(base)) {
    if (name.startsWith(begin)) await walk(`${base}/${name}`);
  }
  return texts;
}
