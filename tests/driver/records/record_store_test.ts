import assert from "node:assert/strict";
import { join } from "node:path";
import { readRecords } from "../../../src/driver/records/record_reader.ts";
import { Disk } from "../../../src/shared/linux/disk.ts";
import { openRecordStore } from "../../../src/driver/records/record_store.ts";
import { formatRecord } from "../../../src/driver/records/record_format.ts";
import { recordDirectoryName } from "../../../src/driver/records/record_directory_name.ts";
import { assertSameRecord, volume } from "./sample_record.ts";

async function withBase(test: (basePath: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await test(join(root, "base"));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function list(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
}

Deno.test("a record is loaded as it was saved, also after a restart", () =>
  withBase(async (basePath) => {
    await openRecordStore(new Disk(), basePath).save(volume({ group: 2000 }), "certificate");
    const { records, unreadable } = await openRecordStore(new Disk(), basePath).load();
    assert.deepEqual(unreadable, []);
    assert.equal(records.length, 1);
    assertSameRecord(records[0], volume({ group: 2000 }));
  }));

Deno.test("a volume has a directory of its own with its record and its certificate, for root only", () =>
  withBase(async (basePath) => {
    await openRecordStore(new Disk(), basePath).save(volume(), "certificate");
    const directory = join(basePath, "default-web-0-csi-1");
    assert.deepEqual(list(directory), ["tls.crt", "volume.json"]);
    assert.equal(await Deno.readTextFile(join(directory, "tls.crt")), "certificate");
    assert.equal((await Deno.stat(basePath)).mode! & 0o7777, 0o700);
    assert.equal((await Deno.stat(directory)).mode! & 0o7777, 0o700);
    for (const name of list(directory)) {
      assert.equal((await Deno.stat(join(directory, name))).mode! & 0o7777, 0o600);
    }
  }));

Deno.test("saving again replaces the record and leaves no other file", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    await store.save(volume(), "one");
    await store.save(volume({ serialNumber: "ff" }), "two");
    const { records } = await store.load();
    assert.deepEqual(records.map((record) => record.serialNumber), ["ff"]);
    const directory = join(basePath, "default-web-0-csi-1");
    assert.deepEqual(list(directory), ["tls.crt", "volume.json"]);
    assert.equal(await Deno.readTextFile(join(directory, "tls.crt")), "two");
  }));

Deno.test("while the disk does not answer a save, no other call changes the record", () =>
  withBase(async (basePath) => {
    const released = Promise.withResolvers<void>();
    const rename = async (from: string | URL, to: string | URL) => {
      await released.promise;
      await Deno.rename(from, to);
    };
    const store = openRecordStore(new Disk({ ...Deno, rename }), basePath);
    const saving = store.save(volume(), "one");
    const path = join(basePath, "default-web-0-csi-1");
    await assert.rejects(
      store.save(volume({ serialNumber: "ff" }), "two"),
      /been answered by its disk/,
    );
    await assert.rejects(store.remove(volume()), /been answered by its disk/);
    assert.equal(await store.removeUnreadable({ path, problem: "" }), false);
    released.resolve();
    await saving;
    await store.save(volume({ serialNumber: "ff" }), "two");
    assert.deepEqual((await store.load()).records.map((record) => record.serialNumber), ["ff"]);
    await store.remove(volume());
    assert.deepEqual(list(basePath), []);
  }));

Deno.test("a private key never reaches the disk", () =>
  withBase(async (basePath) => {
    const pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    await assert.rejects(openRecordStore(new Disk(), basePath).save(volume(), pem), /private key/);
    assert.deepEqual(await openRecordStore(new Disk(), basePath).load(), {
      records: [],
      unreadable: [],
    });
  }));

Deno.test("removing deletes a volume's record, and can be repeated", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    await store.remove(volume());
    await store.save(volume(), "certificate");
    await store.remove(volume());
    await store.remove(volume());
    assert.deepEqual(list(basePath), []);
  }));

Deno.test("removing follows no link", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    const outside = join(basePath, "..", "outside");
    await Deno.mkdir(outside);
    await Deno.writeTextFile(join(outside, "volume.json"), "precious");
    await store.save(volume(), "certificate");
    const directory = join(basePath, "default-web-0-csi-1");
    await Deno.remove(join(directory, "tls.crt"));
    await Deno.symlink(join(outside, "volume.json"), join(directory, "tls.crt"));
    await store.remove(volume());
    await Deno.symlink(outside, directory);
    await store.remove(volume());
    assert.deepEqual(list(basePath), [], "the link itself is removed");
    await Deno.symlink(outside, directory);
    await store.save(volume(), "certificate");
    assert.ok((await Deno.lstat(directory)).isDirectory, "a directory replaced the link");
    assert.deepEqual(list(outside), ["volume.json"]);
    assert.equal(await Deno.readTextFile(join(outside, "volume.json")), "precious");
  }));

Deno.test("two volumes with the same directory name do not change each other's record", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    const { pod } = volume();
    const first = volume({ volumeId: "b-c", pod: { ...pod, name: "a" } });
    const second = volume({ volumeId: "c", pod: { ...pod, name: "a-b" } });
    await store.save(first, "first");
    const restarted = openRecordStore(new Disk(), basePath);
    await restarted.load();
    for (const each of [store, restarted]) {
      await assert.rejects(each.save(second, "second"), /holds the record of volume b-c/);
    }
    await store.remove(second);
    assert.deepEqual((await store.load()).records.map((record) => record.volumeId), ["b-c"]);
  }));

Deno.test("a record in the directory of another volume does not keep that volume from its own", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    await store.save(volume(), "certificate");
    const path = join(basePath, "default-web-0-csi-1", "volume.json");
    await Deno.writeTextFile(path, formatRecord(volume({ volumeId: "csi-2" })));
    assert.equal((await store.load()).records.length, 0);
    await store.save(volume(), "certificate");
    assert.equal((await store.load()).records[0]?.volumeId, "csi-1");
  }));

Deno.test("a record that cannot be read is reported with its path and the reason", async () => {
  const good = formatRecord(volume());
  const changed = (changes: object) => JSON.stringify({ ...JSON.parse(good), ...changes });
  const cases: [string, RegExp][] = [
    ["", /is empty/],
    [good.slice(0, 100), /is not JSON/],
    ["[]", /is not a JSON object/],
    ["null", /is not a JSON object/],
    [changed({ version: 2 }), /has version 2, this driver reads version 1/],
    [changed({ version: undefined }), /has version absent/],
    [changed({ targetPath: 5 }), /"targetPath" has to be a string, not 5/],
    [changed({ targetPath: "relative" }), /"targetPath" has to be a target path .*"relative"/],
    [
      changed({ targetPath: volume().targetPath.replace("/u/", "/v/") }),
      /"targetPath" has to be a target path of the pod with uid "u"/,
    ],
    [changed({ pod: "x" }), /"pod" has to be an object, not "x"/],
    [changed({ pod: { namespace: "default" } }), /"name" has to be a string, not absent/],
    [changed({ attributes: [] }), /"attributes" has to be an object/],
    [changed({ attributes: { a: 1 } }), /"a" has to be a string/],
    [changed({ group: -1 }), /"group" has to be a group id/],
    [changed({ notAfter: "tomorrow" }), /"notAfter" has to be an instant.*"tomorrow"/],
    [
      changed({ volumeId: "csi-2" }),
      /another volume, whose directory would be default-web-0-csi-2/,
    ],
  ];
  for (const [text, problem] of cases) {
    await withBase(async (basePath) => {
      const store = openRecordStore(new Disk(), basePath);
      await store.save(volume(), "certificate");
      const path = join(basePath, "default-web-0-csi-1");
      await Deno.writeTextFile(join(path, "volume.json"), text);
      const { records, unreadable } = await store.load();
      assert.deepEqual(records, []);
      assert.deepEqual(unreadable.map((record) => record.path), [path]);
      assert.match(unreadable[0]!.problem, problem);
      // The next publish repairs it, an unpublish removes it.
      await store.save(volume(), "certificate").catch(() => {});
      assert.deepEqual(list(path), ["tls.crt", "volume.json"]);
    });
  }
});

Deno.test("a link or a directory in place of a record, and an entry that is no directory, are reported", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    await store.save(volume(), "certificate");
    const good = join(basePath, "default-web-0-csi-1");
    for (const name of ["a-b-1", "a-b-2"]) await Deno.mkdir(join(basePath, name));
    await Deno.symlink(join(good, "volume.json"), join(basePath, "a-b-1", "volume.json"));
    await Deno.mkdir(join(basePath, "a-b-2", "volume.json"));
    await Deno.symlink(good, join(basePath, "a-b-3"));
    await Deno.writeTextFile(join(basePath, "a-b-4"), "x");
    const { records, unreadable } = await store.load();
    assert.equal(records.length, 1);
    const problems = unreadable.map(({ path, problem }) => `${path.slice(-1)} ${problem}`).sort();
    assert.equal(problems.length, 4);
    assert.match(problems[0]!, /1 volume.json is a symbolic link/);
    assert.match(problems[1]!, /2 volume.json is not a file/);
    assert.match(problems[2]!, /3 is not a directory/);
    assert.match(problems[3]!, /4 is not a directory/);
  }));

Deno.test("the leftovers of an interrupted save or removal are removed and not reported", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    await store.save(volume(), "certificate");
    const directory = join(basePath, "default-web-0-csi-1");
    await Deno.writeTextFile(join(directory, ".volume.json.0123456789abcdef"), "{");
    const cut = join(basePath, "default-web-1-csi-2");
    await Deno.mkdir(cut);
    await Deno.writeTextFile(join(cut, "tls.crt"), "x");
    await Deno.writeTextFile(join(cut, ".volume.json.0123456789abcdef"), "{");
    await Deno.mkdir(join(basePath, ".staging"));
    await Deno.mkdir(join(basePath, "lost+found"));
    await Deno.writeTextFile(join(basePath, ".lock"), "");
    const read = await readRecords(new Disk(), basePath);
    assert.equal(read.records.length, 1);
    assert.deepEqual(read.unreadable, []);
    assert.equal(list(directory).length, 3, "reading changes nothing");
    assert.equal(list(cut).length, 2);

    const { records, unreadable } = await store.load();
    assert.equal(records.length, 1);
    assert.deepEqual(unreadable, []);
    assert.deepEqual(list(directory), ["tls.crt", "volume.json"]);
    assert.deepEqual(list(basePath), [".lock", ".staging", "default-web-0-csi-1", "lost+found"]);
  }));

Deno.test("a directory without a record that contains another program's files is reported and kept", () =>
  withBase(async (basePath) => {
    await Deno.mkdir(join(basePath, "a-b-c"), { recursive: true });
    await Deno.writeTextFile(join(basePath, "a-b-c", "notes"), "x");
    const { unreadable } = await openRecordStore(new Disk(), basePath).load();
    assert.match(unreadable[0]!.problem, /has no volume.json/);
    assert.deepEqual(list(join(basePath, "a-b-c")), ["notes"]);
  }));

Deno.test("an unreadable record is removed, unless it can be read by now, is being written, or its directory contains what is not ours", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    await store.save(volume(), "certificate");
    const path = join(basePath, "default-web-0-csi-1");
    const unreadable = { path, problem: "" };
    assert.equal(await store.removeUnreadable(unreadable), true, "it is readable by now");
    assert.equal((await store.load()).records.length, 1);
    await Deno.writeTextFile(join(path, "volume.json"), "{");
    await Deno.writeTextFile(join(path, "notes"), "an operator's");
    assert.equal(await store.removeUnreadable(unreadable), false);
    await Deno.remove(join(path, "notes"));
    const saving = store.save(volume(), "certificate");
    assert.equal(await store.removeUnreadable(unreadable), false);
    await saving;
    await Deno.writeTextFile(join(path, "volume.json"), "{");
    assert.equal(await store.removeUnreadable(unreadable), true);
    assert.equal(await store.removeUnreadable(unreadable), true, "it was removed before");
    assert.deepEqual(list(basePath), []);
  }));

Deno.test("a save that fails leaves the old record and no temporary file", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    await store.save(volume(), "certificate");
    const directory = join(basePath, "default-web-0-csi-1");
    const record = { ...volume({ serialNumber: "ff" }), notAfter: undefined } as never;
    await assert.rejects(store.save(record, "another"));
    assert.deepEqual(list(directory), ["tls.crt", "volume.json"]);
    assert.equal(await Deno.readTextFile(join(directory, "tls.crt")), "certificate");
    assert.equal((await store.load()).records[0]?.serialNumber, "0a1b");
  }));

Deno.test("records of any pod are saved under a name that load() accepts", () =>
  withBase(async (basePath) => {
    const store = openRecordStore(new Disk(), basePath);
    const records = ["x".repeat(253), "a.b", "../../etc", ""].map((name, n) => {
      return volume({ volumeId: `csi-${n}`, pod: { ...volume().pod, name } });
    });
    for (const record of records) await store.save(record, "certificate");
    assert.deepEqual(list(basePath), records.map(recordDirectoryName).sort());
    const loaded = await store.load();
    assert.deepEqual(loaded.unreadable, []);
    assert.equal(loaded.records.length, records.length);
  }));
