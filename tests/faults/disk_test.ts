import assert from "node:assert/strict";
import type { TestEnvironment } from "../../scripts/demo/test_environment.ts";
import {
  admit,
  assertExactly,
  faultTest,
  makeDue,
  readiness,
  Recoveries,
  run,
  unpublishAll,
  wholePair,
} from "./fault_environment.ts";

interface DiskFault {
  readonly name: string;
  readonly options: string;
  readonly strike: (directory: string) => Promise<void>;
  readonly repair: (directory: string) => Promise<void>;
  readonly error: RegExp;
}

async function fill(directory: string): Promise<void> {
  const file = await Deno.open(`${directory}/.filler`, { write: true, create: true });
  await assert.rejects(async () => {
    for (;;) await file.write(new Uint8Array(4096));
  });
  file.close();
}

async function takeInodes(directory: string): Promise<void> {
  await Deno.mkdir(`${directory}/.filler`);
  await assert.rejects(async () => {
    for (let file = 0;; file++) await Deno.writeTextFile(`${directory}/.filler/${file}`, "");
  });
}

const removeFiller = (directory: string) =>
  Deno.remove(`${directory}/.filler`, { recursive: true });

const faults: readonly DiskFault[] = [
  {
    name: "a full disk",
    options: "size=256k",
    strike: fill,
    repair: removeFiller,
    error: /No space left/,
  },
  {
    name: "a disk without a free inode",
    options: "nr_inodes=40",
    strike: takeInodes,
    repair: removeFiller,
    error: /No space left/,
  },
  {
    name: "a disk that became read-only",
    options: "size=256k",
    strike: (directory) => run("mount", "-o", "remount,ro", directory),
    repair: (directory) => run("mount", "-o", "remount,rw", directory),
    error: /Read-only file system/,
  },
];

/** CERT_BASE_PATH as a small file system of its own. */
async function mountRecords({ recordsDir }: TestEnvironment, options: string): Promise<void> {
  await Deno.mkdir(recordsDir, { recursive: true });
  await run("mount", "-t", "tmpfs", "-o", options, "records", recordsDir);
}

for (const { name, options, strike, repair, error } of faults) {
  faultTest(
    `${name} under CERT_BASE_PATH: what is mounted is renewed once and served, what is new fails clearly`,
    async (environment) => {
      const recoveries = new Recoveries();
      await mountRecords(environment, options);
      const { driver: first } = await environment.startPrograms();
      const mounted = admit(environment);
      await environment.kubelet.publish(mounted);
      const before = await wholePair(mounted);
      await first.stop();
      await makeDue(environment, mounted);
      await strike(environment.recordsDir);
      const driver = await environment.startDriver();
      await driver.logged(({ message }) => message.startsWith("renewed"));
      const renewed = await wholePair(mounted);
      assert.notEqual(renewed.serialNumber, before.serialNumber);
      const refused = admit(environment, "web-1");
      await assert.rejects(environment.kubelet.publish(refused), error);
      await assert.rejects(Deno.lstat(refused.targetPath), Deno.errors.NotFound);
      await environment.kubelet.publish(mounted);
      assert.equal((await wholePair(mounted)).serialNumber, renewed.serialNumber);
      await repair(environment.recordsDir);
      await recoveries.time(async () => {
        await environment.kubelet.publish(refused);
        await environment.kubelet.publish(mounted);
      });
      assert.equal((await wholePair(mounted)).serialNumber, renewed.serialNumber, "renewed once");
      await assertExactly(environment, [mounted, refused]);
      await unpublishAll(environment, [mounted, refused]);
      recoveries.report("the disk was repaired and the kubelet published again");
    },
  );
}

faultTest(
  "a driver that cannot use CERT_BASE_PATH keeps running, reports why it is not ready, and continues when it can",
  async (environment) => {
    const recoveries = new Recoveries();
    await mountRecords(environment, "ro");
    await environment.startService();
    const driver = environment.launchDriver({ HEALTH_ADDR: "127.0.0.1:19808" });
    const { message } = await driver.logged(({ message }) => message.startsWith("waiting"));
    assert.match(message, /cannot be used.*Read-only file system/);
    const { status, text } = await readiness("127.0.0.1:19808");
    assert.equal(status, 503);
    assert.match(text, /Read-only file system/);
    assert.equal((await (await fetch("http://127.0.0.1:19808/livez")).text()).slice(0, 2), "ok");
    await run("mount", "-o", "remount,rw", environment.recordsDir);
    await recoveries.time(() => driver.ready());
    assert.equal((await readiness("127.0.0.1:19808")).status, 200);
    recoveries.report("the disk became writable");
  },
);
