import assert from "node:assert/strict";
import { join } from "node:path";
import { removeContents, removeTree } from "../../../src/shared/linux/directory_removal.ts";
import type { Directory } from "../../../src/shared/linux/directory.ts";
import { openLibc } from "../../../src/shared/linux/libc.ts";

async function withDirectory(test: (directory: Directory, path: string) => Promise<void> | void) {
  const path = await Deno.makeTempDir();
  try {
    using libc = openLibc();
    using directory = libc.openDirectory(path);
    await test(directory, path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

const names = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();
const decode = (name: Uint8Array) => new TextDecoder().decode(name.subarray(0, -1));

/** Makes a file whose name is no text in any encoding that Deno knows. */
async function makeUnreadableName(path: string): Promise<void> {
  const args = ["-c", `printf x > "$1/$(printf 'a\\377')"`, "sh", path];
  const { success } = await new Deno.Command("sh", { args }).output();
  assert(success);
}

Deno.test("a directory lists every entry, also of more than one reading, each time again", () =>
  withDirectory((directory, path) => {
    const expected = Array.from({ length: 1000 }, (_, n) => `file-${n}`.padEnd(60, "x")).sort();
    for (const name of expected) Deno.writeTextFileSync(join(path, name), "");
    for (let time = 0; time < 2; time++) {
      assert.deepEqual([...directory.names()].map(decode).sort(), expected);
    }
  }));

Deno.test("a file is written with its mode and group whatever the umask, and never over another", () =>
  withDirectory((directory, path) => {
    const umask = Deno.umask(0o077);
    try {
      directory.writeNewFile("new", "text é", { mode: 0o644, group: undefined });
    } finally {
      Deno.umask(umask);
    }
    assert.equal(Deno.readTextFileSync(join(path, "new")), "text é");
    const { isFile, mode, group } = directory.status("new");
    assert.deepEqual([isFile, mode, group], [true, 0o644, Deno.gid()]);
    Deno.symlinkSync(join(path, "elsewhere"), join(path, "link"));
    for (const name of ["new", "link"]) {
      const write = () => directory.writeNewFile(name, "x", { mode: 0o644, group: undefined });
      assert.throws(write, /EEXIST/);
    }
    assert.deepEqual(names(path), ["link", "new"]);
  }));

Deno.test("only a file is read: no link, no directory, no named pipe, and none that is too long", () =>
  withDirectory(async (directory, path) => {
    Deno.writeTextFileSync(join(path, "file"), "text");
    Deno.symlinkSync("file", join(path, "link"));
    Deno.mkdirSync(join(path, "directory"));
    assert((await new Deno.Command("mkfifo", { args: [join(path, "pipe")] }).output()).success);
    assert.equal(directory.readFile("file", 4), "text");
    assert.equal(directory.readFile("file", 3), undefined);
    for (const name of ["link", "directory", "pipe", "missing", "file/below"]) {
      assert.equal(directory.readFile(name, 100), undefined, name);
    }
  }));

Deno.test("a directory that is a link, or a file, is not opened", () =>
  withDirectory((directory, path) => {
    Deno.mkdirSync(join(path, "real"));
    Deno.symlinkSync("real", join(path, "link"));
    Deno.writeTextFileSync(join(path, "file"), "");
    for (const name of ["link", "file"]) {
      assert.throws(() => directory.openDirectory(name), /ENOTDIR|ELOOP/);
    }
    using real = directory.openDirectory("real");
    assert.deepEqual([...real.names()], []);
  }));

Deno.test("a link's target is read, and of anything else there is none", () =>
  withDirectory((directory, path) => {
    directory.makeLink("link", "target");
    Deno.writeTextFileSync(join(path, "file"), "");
    assert.deepEqual(["link", "file", "missing"].map((name) => directory.readLink(name)), [
      "target",
      undefined,
      undefined,
    ]);
  }));

Deno.test("a tree is removed without following its links, whatever its names are", () =>
  withDirectory(async (directory, path) => {
    Deno.mkdirSync(join(path, "host"));
    Deno.writeTextFileSync(join(path, "host", "file"), "precious");
    const tree = join(path, "tree", "inner", "deep");
    Deno.mkdirSync(tree, { recursive: true });
    Deno.symlinkSync(join(path, "host"), join(tree, "link"));
    await makeUnreadableName(tree);
    removeTree(directory, "missing");
    removeTree(directory, "tree");
    assert.deepEqual(names(path), ["host"]);
    assert.equal(Deno.readTextFileSync(join(path, "host", "file")), "precious");
  }));

Deno.test("directories that are nested 1,500 deep are removed", () =>
  withDirectory((directory, path) => {
    for (let depth = 0; depth < 1_500; depth++) {
      // The tree so far becomes the inner one of a new directory: no path is longer than two names.
      Deno.mkdirSync(join(path, "outer"));
      if (depth > 0) Deno.renameSync(join(path, "tree"), join(path, "outer", "tree"));
      Deno.renameSync(join(path, "outer"), join(path, "tree"));
    }
    removeContents(directory);
    assert.deepEqual(names(path), []);
  }));

Deno.test("a removal of too many entries ends with an error, and the next one continues", () =>
  withDirectory((directory, path) => {
    Deno.mkdirSync(join(path, "tree"));
    for (let n = 0; n < 20_100; n++) Deno.symlinkSync("x", join(path, "tree", String(n)));
    assert.throws(() => removeContents(directory), /more than 20000 entries.*next attempt/);
    removeContents(directory);
    assert.deepEqual(names(path), []);
  }));
