import assert from "node:assert/strict";
import { join } from "node:path";
import * as atomicDirectory from "../../../src/driver/mount/atomic_directory.ts";
import type { VolumeFiles } from "../../../src/driver/volume/mounter.ts";
import type { Directory } from "../../../src/shared/linux/directory.ts";
import { openLibc } from "../../../src/shared/linux/libc.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { pair, Workspace } from "./mount_workspace.ts";

async function withDirectory(test: (directory: string, root: string) => Promise<void> | void) {
  const root = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(root, "volume"));
    await test(join(root, "volume"), root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
}

function inDirectory<T>(path: string, action: (directory: Directory) => T): T {
  using libc = openLibc();
  using directory = libc.openDirectory(path);
  return action(directory);
}

const { hasVolumeFiles } = atomicDirectory;
const replaceFiles = (path: string, files: VolumeFiles) =>
  inDirectory(path, (directory) => atomicDirectory.replaceFiles(directory, files));
const removeFiles = (path: string) => {
  const { own } = inDirectory(path, atomicDirectory.ownEntries);
  for (const name of own) Deno.removeSync(join(path, name), { recursive: true });
};
const readFiles = (path: string, names: string[]) =>
  inDirectory(path, (directory) => atomicDirectory.readFiles(directory, names));
const readFile = (directory: string, name: string) => readFiles(directory, [name])[0];

Deno.test("files are read through links that lead over ..data", () =>
  withDirectory(async (directory) => {
    replaceFiles(directory, pair(1));
    assert.equal(await Deno.readLink(join(directory, "tls.crt")), "..data/tls.crt");
    assert.equal(await Deno.readTextFile(join(directory, "tls.crt")), "pair 1");
    assert.equal(readFile(directory, "tls.key"), "pair 1");
    assert.equal(hasVolumeFiles(directory), true);
  }));

Deno.test("several files are read of the same swap, and a missing one is undefined", () =>
  withDirectory((directory) => {
    replaceFiles(directory, pair(1));
    assert.deepEqual(readFiles(directory, ["tls.key", "none", "tls.crt"]), [
      "pair 1",
      undefined,
      "pair 1",
    ]);
    removeFiles(directory);
    assert.deepEqual(readFiles(directory, ["tls.key", "tls.crt"]), [undefined, undefined]);
  }));

const generationsIn = (directory: string) =>
  names(directory).filter((name) => /^\.\.[0-9a-f]{16}$/.test(name));

const textsIn = (directory: string) =>
  generationsIn(directory).map((name) => Deno.readTextFileSync(join(directory, name, "tls.key")))
    .sort();

Deno.test("a swap leaves the new files and the previous ones, and no older ones", () =>
  withDirectory(async (directory) => {
    replaceFiles(directory, pair(1));
    for (const number of [2, 3, 4]) {
      replaceFiles(directory, pair(number));
      assert.deepEqual(textsIn(directory), [`pair ${number - 1}`, `pair ${number}`]);
    }
    const expected = [...generationsIn(directory), "..data", "tls.crt", "tls.key"].sort();
    assert.deepEqual(names(directory), expected);
    assert.equal(await Deno.readTextFile(join(directory, "tls.crt")), "pair 4");
    removeFiles(directory);
    assert.deepEqual(names(directory), []);
  }));

Deno.test("a reader that resolved the directory before a swap reads a whole pair after it", () =>
  withDirectory((directory) => {
    replaceFiles(directory, pair(0));
    for (let number = 1; number <= 200; number++) {
      const resolved = Deno.realPathSync(join(directory, "..data"));
      const file = Deno.realPathSync(join(directory, "tls.key"));
      replaceFiles(directory, pair(number));
      const texts = [`${resolved}/tls.crt`, `${resolved}/tls.key`, file].map((path) =>
        Deno.readTextFileSync(path)
      );
      assert.deepEqual(texts, Array(3).fill(`pair ${number - 1}`));
    }
  }));

Deno.test("files whose mode changed are not kept with the old one", () =>
  withDirectory((directory) => {
    replaceFiles(directory, pair(1, { mode: 0o644 }));
    replaceFiles(directory, pair(2, { mode: 0o600 }));
    assert.deepEqual(textsIn(directory), ["pair 2"]);
  }));

/** What a driver that was killed in the middle of its third swap can have left, step by step. */
const killedAt: Record<string, (directory: string, previous: string) => void> = {
  "while it removed the older files": (directory, previous) => {
    Deno.removeSync(join(directory, previous, "tls.crt"));
  },
  "when it had removed the older files": (directory, previous) => {
    Deno.removeSync(join(directory, previous), { recursive: true });
  },
  "when it had made the new directory": (directory, previous) => {
    Deno.removeSync(join(directory, previous), { recursive: true });
    Deno.mkdirSync(join(directory, "..00000000000000aa"));
  },
  "when it had written one of the new files": (directory, previous) => {
    Deno.removeSync(join(directory, previous), { recursive: true });
    Deno.mkdirSync(join(directory, "..00000000000000aa"));
    Deno.writeTextFileSync(join(directory, "..00000000000000aa", "tls.key"), "pair 3");
  },
  "when it had made the next link": (directory, previous) => {
    Deno.removeSync(join(directory, previous), { recursive: true });
    Deno.mkdirSync(join(directory, "..00000000000000aa"));
    Deno.symlinkSync("..00000000000000aa", join(directory, "..data_tmp"));
  },
  "when it had swapped": (directory, previous) => {
    Deno.removeSync(join(directory, previous), { recursive: true });
    Deno.mkdirSync(join(directory, "..00000000000000aa"));
    for (const name of ["tls.crt", "tls.key"]) {
      const path = join(directory, "..00000000000000aa", name);
      Deno.writeTextFileSync(path, "pair 2", { mode: 0o644 });
    }
    Deno.symlinkSync("..00000000000000aa", join(directory, "..data_tmp"));
    Deno.renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
  },
};

for (const [moment, leave] of Object.entries(killedAt)) {
  Deno.test(`the next swap cleans up after a driver that was killed ${moment}`, () =>
    withDirectory((directory) => {
      replaceFiles(directory, pair(1));
      const previous = Deno.readLinkSync(join(directory, "..data"));
      replaceFiles(directory, pair(2));
      leave(directory, previous);
      assert.equal(readFile(directory, "tls.key"), "pair 2");
      replaceFiles(directory, pair(4));
      assert.deepEqual(textsIn(directory), ["pair 2", "pair 4"]);
      assert.equal(names(directory).length, 5);
      removeFiles(directory);
      assert.deepEqual(names(directory), []);
    }));
}

Deno.test("a name that is no longer used is removed, a new one is added", () =>
  withDirectory((directory) => {
    replaceFiles(directory, pair(1));
    replaceFiles(directory, pair(2, { contents: new Map([["other.pem", "x"]]) }));
    assert.equal(names(directory).includes("tls.crt"), false);
    assert.equal(readFile(directory, "tls.crt"), undefined);
    assert.equal(readFile(directory, "other.pem"), "x");
  }));

Deno.test("files have their mode whatever the umask", () =>
  withDirectory(async (directory) => {
    const umask = Deno.umask(0o077);
    try {
      replaceFiles(directory, pair(1, { mode: 0o644 }));
    } finally {
      Deno.umask(umask);
    }
    assert.equal((await Deno.stat(join(directory, "tls.key"))).mode! & 0o7777, 0o644);
    assert.equal((await Deno.stat(join(directory, "..data"))).mode! & 0o7777, 0o755);
  }));

Deno.test("a swap that fails leaves the old files and nothing else", () =>
  withDirectory((directory) => {
    replaceFiles(directory, pair(1));
    const before = names(directory);
    const tooLong = "n".repeat(254) + "é";
    const contents = new Map([["new.pem", "x"], ["tls.crt", "pair 2"], [tooLong, "x"]]);
    assert.throws(() => replaceFiles(directory, pair(2, { contents })));
    assert.deepEqual(names(directory), before);
    assert.equal(readFile(directory, "tls.crt"), "pair 1");
  }));

Deno.test("a swap does not fail after the new files are visible", () =>
  withDirectory((path) => {
    replaceFiles(path, pair(1));
    inDirectory(path, (directory) => {
      const rename = directory.rename.bind(directory);
      directory.rename = (...given) => {
        rename(...given);
        directory.openDirectory = () => {
          throw new Error("another process removed it");
        };
      };
      atomicDirectory.replaceFiles(directory, pair(2));
    });
    assert.deepEqual(readFiles(path, ["tls.crt", "tls.key"]), ["pair 2", "pair 2"]);
  }));

Deno.test("a name that would leave the directory is refused", () =>
  withDirectory((directory, root) => {
    for (const name of ["../x", "a/b", "", ".", "..", "..data", "a\0b"]) {
      const contents = new Map([[name, "x"]]);
      assert.throws(() => replaceFiles(directory, pair(1, { contents })), TypeError);
      assert.throws(() => readFile(directory, name), TypeError);
    }
    assert.deepEqual(names(directory), []);
    assert.deepEqual(names(root), ["volume"]);
  }));

Deno.test("links and directories put in the way are replaced, never followed", () =>
  withDirectory(async (directory, root) => {
    const host = join(root, "host");
    await Deno.mkdir(host);
    await Deno.writeTextFile(join(host, "tls.key"), "precious");
    replaceFiles(directory, pair(1));
    for (const name of ["..data", "tls.key", "tls.crt"]) await Deno.remove(join(directory, name));
    await Deno.symlink(host, join(directory, "..data"));
    await Deno.symlink(join(host, "tls.key"), join(directory, "tls.key"));
    await Deno.symlink(host, join(directory, "..0123456789abcdef"));
    await Deno.mkdir(join(directory, "..data_tmp", "deep"), { recursive: true });
    await Deno.mkdir(join(directory, "tls.crt", "deep"), { recursive: true });
    assert.equal(hasVolumeFiles(directory), false);
    assert.equal(readFile(directory, "tls.key"), undefined);
    await Deno.remove(join(directory, "..data"));
    await Deno.symlink("../host", join(directory, "..data"));
    assert.equal(readFile(directory, "tls.key"), undefined);

    replaceFiles(directory, pair(2));
    assert.equal(await Deno.readTextFile(join(host, "tls.key")), "precious");
    assert.deepEqual(names(host), ["tls.key"]);
    assert.equal(readFile(directory, "tls.key"), "pair 2");
    assert.equal(await Deno.readTextFile(join(directory, "tls.crt")), "pair 2");
    assert.equal(names(directory).length, 4);
  }));

Deno.test("a directory in place of ..data is replaced", () =>
  withDirectory(async (directory) => {
    await Deno.mkdir(join(directory, "..data", "tls.crt"), { recursive: true });
    replaceFiles(directory, pair(1));
    assert.equal(readFile(directory, "tls.crt"), "pair 1");
  }));

Deno.test({
  name: "what cannot be swapped in leaves no link and no file",
  ignore: !canMount,
  async fn() {
    await using workspace = new Workspace();
    const directory = join(workspace.root, "volume");
    // A mount point can be neither removed nor replaced.
    workspace.mountForeign(join(directory, "..data"));
    assert.throws(() => replaceFiles(directory, pair(1)), /EBUSY/);
    assert.deepEqual(names(directory), ["..data"]);
  },
});

Deno.test("a link inside a generation is not read", () =>
  withDirectory(async (directory, root) => {
    await Deno.writeTextFile(join(root, "secret"), "secret");
    replaceFiles(directory, pair(1));
    await Deno.remove(join(directory, "..data", "tls.key"));
    await Deno.symlink(join(root, "secret"), join(directory, "..data", "tls.key"));
    assert.equal(readFile(directory, "tls.key"), undefined);
  }));

Deno.test("removing deletes our layout and keeps what is not ours", () =>
  withDirectory(async (directory) => {
    replaceFiles(directory, pair(1));
    await Deno.writeTextFile(join(directory, "notes"), "x");
    await Deno.symlink("elsewhere", join(directory, "link"));
    removeFiles(directory);
    assert.deepEqual(names(directory), ["link", "notes"]);
  }));
