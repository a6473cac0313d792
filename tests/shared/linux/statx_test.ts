import assert from "node:assert/strict";
import { openLibc } from "../../../src/shared/linux/libc.ts";
import { readStatx } from "../../../src/shared/linux/statx.ts";

interface Answer {
  readonly mask?: number;
  readonly attributesMask?: bigint;
  readonly attributes?: bigint;
}

function answerOf({ mask = 0, attributesMask = 0n, attributes = 0n }: Answer) {
  const view = new DataView(new ArrayBuffer(256));
  view.setUint32(0, mask, true);
  view.setBigUint64(8, attributes, true);
  view.setBigUint64(56, attributesMask, true);
  view.setUint32(136, 259, true);
  view.setUint32(140, 65_536, true);
  view.setBigUint64(144, 0x1_8000_0001n, true);
  return new Uint8Array(view.buffer);
}

Deno.test("the number in a mount's place is its own only if the kernel reports it", () => {
  // The bit of the number that mountinfo has is 0x1000: another mount gets that one later.
  for (const mask of [0, 0x17ff, 0x1fff]) {
    assert.equal(readStatx(answerOf({ mask })).mountId, undefined);
  }
  assert.equal(readStatx(answerOf({ mask: 0x47ff })).mountId, 0x1_8000_0001n);
});

Deno.test("whether a mount begins at a path is known only if the kernel reports it", () => {
  const root = 0x2000n;
  const read = (answer: Answer) => readStatx(answerOf(answer)).isMountPoint;
  assert.equal(read({ attributes: root }), undefined);
  assert.equal(read({ attributesMask: ~root & 0xffffffffn, attributes: root }), undefined);
  assert.equal(read({ attributesMask: root | 0x10n, attributes: 0x10n }), false);
  assert.equal(read({ attributesMask: root, attributes: root }), true);
});

Deno.test("the number of a file system is written as mountinfo writes it", () => {
  assert.equal(readStatx(answerOf({})).device, "259:65536");
});

Deno.test("nothing is reported for a path that does not exist, and a link is not followed", async () => {
  using libc = openLibc();
  const folder = await Deno.makeTempDir();
  try {
    assert.equal(libc.statx(`${folder}/missing`), undefined);
    assert.equal(libc.statx(`${folder}/missing/deep`), undefined);
    await Deno.symlink("/proc", `${folder}/link`);
    const { isMountPoint } = libc.statx("/proc") ?? {};
    if (isMountPoint === undefined) return;
    assert.equal(isMountPoint, true);
    assert.equal(libc.statx(`${folder}/link`)?.isMountPoint, false);
    assert.equal(libc.statx(folder)?.isMountPoint, false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
