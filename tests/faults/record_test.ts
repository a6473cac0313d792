import assert from "node:assert/strict";
import { join } from "node:path";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import {
  admit,
  assertExactly,
  faultTest,
  recordNames,
  recordPath,
  Recoveries,
  run,
  wholePair,
} from "./fault_environment.ts";
import { persistently } from "./persistence.ts";

type Damage = (path: string, outside: string) => Promise<void>;

/** How a record can be damaged while the driver is not running; `path` is its volume.json. */
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

faultTest(
  "a damaged record: the driver starts, and the next republish writes it again without issuing",
  async (environment) => {
    const recoveries = new Recoveries();
    const { driver: first } = await environment.startPrograms();
    const volumes = new Map<string, { volume: PodVolume; serialNumber: string }>();
    for (const [index, name] of Object.keys(damages).entries()) {
      const volume = admit(environment, `web-${index}`);
      await environment.kubelet.publish(volume);
      volumes.set(name, { volume, serialNumber: (await wholePair(volume)).serialNumber });
    }
    await first.stop();
    for (const [name, { volume }] of volumes) {
      const outside = `${environment.base}/outside ${name}`;
      await Deno.mkdir(outside);
      await damages[name]?.(recordPath(environment, volume), outside);
    }
    const outside = await textsBelow(environment.base, "outside");
    const driver = await environment.startDriver();
    const restored = await driver.logged(({ message }) => message.startsWith("restored"));
    assert.deepEqual([restored.healthy, restored.unreadable], [0, volumes.size]);
    for (const [name, { volume, serialNumber }] of volumes) {
      await recoveries.time(() => environment.kubelet.publish(volume));
      assert.equal((await wholePair(volume)).serialNumber, serialNumber, `a record ${name}`);
    }
    await assertExactly(environment, [...volumes.values()].map(({ volume }) => volume));
    assert.deepEqual(
      await textsBelow(environment.base, "outside"),
      outside,
      "no link was followed",
    );
    for (const { volume } of volumes.values()) await environment.kubelet.unpublish(volume);
    assert.deepEqual(recordNames(environment), []);
    recoveries.report("a record was damaged");
  },
);

faultTest(
  "a loss of power removes the mounts and leaves the records in any state: the kubelet's calls repair every volume",
  async (environment) => {
    const recoveries = new Recoveries();
    const { driver: first } = await environment.startPrograms();
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
      const volume = admit(environment, `web-${index}`);
      await environment.kubelet.publish(volume);
      volumes.push(volume);
    }
    await first.stop("SIGKILL");
    for (const [index, damage] of Object.values(lost).entries()) {
      const volume = volumes[index]!;
      await run("umount", volume.targetPath);
      await damage(recordPath(environment, volume), "");
    }
    const driver = await environment.startDriver();
    const restored = await driver.logged(({ message }) => message.startsWith("restored"));
    assert.deepEqual([restored.healthy, restored.repaired, restored.unreadable], [0, 1, 3]);
    for (const volume of volumes) {
      // The driver repairs volumes that have a record; the kubelet retries meanwhile.
      await recoveries.time(() => persistently(() => environment.kubelet.publish(volume)));
      await wholePair(volume);
    }
    await assertExactly(environment, volumes);
    for (const volume of volumes) await environment.kubelet.unpublish(volume);
    assert.deepEqual(recordNames(environment), []);
    recoveries.report("the power returned");
  },
);

/** Every file below the directories whose name has this prefix, with its text. */
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
