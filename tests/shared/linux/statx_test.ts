import assert from "node:assert/strict";
import { openLibc } from "../../../src/shared/linux/libc.ts";
import { readIsMountPoint } from "../../../src/shared/linux/statx.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

Deno.test("whether a mount begins at a path is known only if the kernel reports it", () => {
  const root = 0x2000n;
  const read = (attributes: bigint, attributesMask: bigint) => {
    const view = new DataView(new ArrayBuffer(256));
    view.setBigUint64(8, attributes, true);
    view.setBigUint64(56, attributesMask, true);
    return readIsMountPoint(new Uint8Array(view.buffer));
  };
  assert.equal(read(root, 0n), undefined);
  assert.equal(read(root, ~root & 0xffffffffn), undefined);
  assert.equal(read(0x10n, root | 0x10n), false);
  assert.equal(read(root, root), true);
});

Deno.test("nothing is reported for a path that does not exist, and a link is not followed", async () => {
  using libc = openLibc();
  await using folder = await temporaryFolder();
  assert.equal(libc.isMountPoint(`${folder.path}/missing`), undefined);
  assert.equal(libc.isMountPoint(`${folder.path}/missing/deep`), undefined);
  await Deno.symlink("/proc", `${folder.path}/link`);
  if (libc.isMountPoint("/proc") === undefined) return;
  assert.equal(libc.isMountPoint("/proc"), true);
  assert.equal(libc.isMountPoint(`${folder.path}/link`), false);
  assert.equal(libc.isMountPoint(folder.path), false);
});

Deno.test({
  name: "mounts have changed at the first call, and after each mount and unmount, once",
  ignore: !canMount,
  async fn() {
    using libc = openLibc();
    await using folder = await temporaryFolder();
    assert.equal(libc.mountsChanged(), true);
    const target = folder.path;
    const changes = [
      () => libc.mount({ source: "test", target, fileSystem: "tmpfs", flags: 0 }),
      () => libc.unmount(target),
    ];
    for (const change of changes) {
      assert.equal(libc.mountsChanged(), false);
      change();
      assert.equal(libc.mountsChanged(), true);
    }
    assert.equal(libc.mountsChanged(), false);
  },
});
