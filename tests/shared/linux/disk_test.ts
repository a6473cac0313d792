import assert from "node:assert/strict";
import { Disk, type FileCalls } from "../../../src/shared/linux/disk.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

const never = new Promise<never>(() => {});
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

Deno.test("of the calls that a disk does not answer twelve that change it and twelve that read it are made, and the rest wait", async () => {
  const calls = { mkdir: 0, lstat: 0 };
  const files: FileCalls = {
    ...Deno,
    mkdir: () => (calls.mkdir++, never),
    lstat: () => (calls.lstat++, never),
  };
  const disk = new Disk(files);
  for (let count = 0; count < 40; count++) {
    void disk.makeDirectory(`/${count}`, { mode: 0o700 });
    void disk.entryAt(`/${count}`);
  }
  await settled();
  assert.deepEqual(calls, { mkdir: 12, lstat: 12 });
});

Deno.test("a call that changes the disk and is not answered keeps none that reads it waiting", async () => {
  const disk = new Disk({ ...Deno, mkdir: () => never });
  for (let count = 0; count < 40; count++) void disk.makeDirectory(`/${count}`, { mode: 0o700 });
  assert.equal((await disk.entryAt("/"))?.isDirectory, true);
  assert.deepEqual(await disk.entriesOf("/missing"), []);
  assert.equal(await disk.realPath("/missing/entry"), undefined);
});

Deno.test("calls that wait are made in their order as others are answered", async () => {
  const made: string[] = [];
  const answers: (() => void)[] = [];
  const remove = (path: string | URL) => {
    made.push(String(path));
    return new Promise<void>((resolve) => answers.push(resolve));
  };
  const disk = new Disk({ ...Deno, remove });
  const removals = Array.from({ length: 14 }, (_, count) => disk.removeOne(`/${count}`));
  await settled();
  answers[5]!();
  await settled();
  assert.deepEqual(made.slice(11), ["/11", "/12"]);
  for (const answer of answers) answer();
  await settled();
  answers[13]!();
  await Promise.all(removals);
  assert.equal(made.length, 14);
});

Deno.test("while a disk answers no call at all, keys are generated and other files read", async () => {
  await using folder = await temporaryFolder();
  const pipe = `${folder.path}/pipe`;
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  // A thread that opens a named pipe waits until another one opens its other end.
  const open = async () => (await Deno.open(pipe)).close();
  const disk = new Disk({ ...Deno, mkdir: open, lstat: async () => (await open(), {} as never) });
  const calls = Array.from({ length: 40 }, (_, count) => [
    disk.makeDirectory(`/${count}`, { mode: 0o700 }),
    disk.entryAt(`/${count}`),
  ]).flat();
  await settled();
  const others = Promise.all([
    crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]),
    Deno.readTextFile(import.meta.filename!),
  ]).then(() => "made");
  // Without a thread for them they would wait for the pipe, whose other end this test opens.
  const { promise: waitedLong, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve("no thread in 30 s"), 30_000);
  const outcome = await Promise.race([others, waitedLong]);
  clearTimeout(timer);
  using _otherEnd = Deno.openSync(pipe, { read: true, write: true });
  await Promise.all([...calls, others]);
  assert.equal(outcome, "made");
});
