import assert from "node:assert/strict";
import fc from "fast-check";
import {
  mountAt,
  type MountinfoEntry,
  parseMountinfo,
} from "../../../src/driver/mount/mountinfo.ts";

const line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";

Deno.test("a line with an optional field is read", () => {
  assert.deepEqual(parseMountinfo(`${line}\n`), [{
    id: 36,
    parentId: 35,
    device: "98:0",
    mountPoint: "/mnt2",
    options: ["rw", "noatime"],
    isShared: false,
    fileSystem: "ext3",
    source: "/dev/root",
    superOptions: ["rw", "errors=continue"],
  }]);
});

Deno.test("any number of optional fields is skipped", () => {
  for (const optional of ["", "shared:4 ", "shared:4 master:1 propagate_from:2 unbindable "]) {
    const [mount] = parseMountinfo(`1 0 0:1 / /a ro ${optional}- tmpfs none rw`);
    assert.equal(mount?.fileSystem, "tmpfs");
    assert.equal(mount?.isShared, optional.includes("shared:"));
  }
});

Deno.test("an empty source is read as such", () => {
  assert.equal(parseMountinfo("1 0 0:1 / /a ro - tmpfs  rw")[0]?.source, "");
});

Deno.test("a line of another form is skipped", () => {
  assert.deepEqual(parseMountinfo("nonsense\n\n1 2 3 4 5 6 7 8\n"), []);
});

Deno.test("a mount point is read as it was before the kernel escaped it", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (name) => {
    const escaped = name.replace(/[ \t\n\\#]/g, (c) => {
      return `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`;
    });
    const [mount] = parseMountinfo(`1 0 0:1 / /${escaped} ro - tmpfs s rw`);
    assert.equal(mount?.mountPoint, `/${name}`);
  }));
});

Deno.test("any text is read without a throw", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (text, path) => {
    mountAt(parseMountinfo(`${line}${text}\n${text}`), path);
  }));
});

function mount(id: number, parentId: number, mountPoint: string): MountinfoEntry {
  const rest = {
    device: "0:1",
    options: ["rw"],
    isShared: false,
    fileSystem: "tmpfs",
    source: `${id}`,
    superOptions: [],
  };
  return { id, parentId, mountPoint, ...rest };
}

const root = mount(1, 0, "/");

Deno.test("nothing is mounted at a path below a mount point", () => {
  assert.equal(mountAt([root, mount(2, 1, "/a")], "/a/b"), undefined);
  assert.equal(mountAt([root, mount(2, 1, "/a")], "/ab"), undefined);
  assert.equal(mountAt([], "/a"), undefined);
});

Deno.test("the mount on top of a stack is the one seen", () => {
  const stack = [root, mount(4, 3, "/a"), mount(2, 1, "/a"), mount(3, 2, "/a")];
  assert.equal(mountAt(stack, "/a")?.id, 4);
});

Deno.test("of two mounts on one directory the last is the one seen", () => {
  assert.equal(mountAt([root, mount(2, 1, "/a"), mount(3, 1, "/a")], "/a")?.id, 3);
});

Deno.test("a mount is hidden by one put over a directory above it", () => {
  const mounts = [root, mount(2, 1, "/a/b"), mount(3, 1, "/a")];
  assert.equal(mountAt(mounts, "/a/b"), undefined);
  assert.equal(mountAt([...mounts, mount(4, 3, "/a/b")], "/a/b")?.id, 4);
});

Deno.test("a mount is seen from a root that is no mount itself", () => {
  assert.equal(mountAt([mount(5, 4, "/a"), mount(6, 5, "/a/b")], "/a/b")?.id, 6);
});

Deno.test("mounts that name each other as parents end the search", () => {
  assert.equal(mountAt([root, mount(2, 3, "/a"), mount(3, 2, "/a")], "/a"), undefined);
  assert.equal(mountAt([mount(1, 1, "/"), mount(2, 1, "/a")], "/a")?.id, 2);
});
