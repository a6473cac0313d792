import assert from "node:assert/strict";
import fc from "fast-check";
import { recordDirectoryName } from "../../../src/driver/records/record_directory_name.ts";

function nameOf(namespace: string, name: string, volumeId: string): string {
  const pod = { namespace, name, uid: "u", serviceAccount: "default" };
  return recordDirectoryName({ pod, volumeId });
}

const kubeletId = `csi-${"0123456789abcdef".repeat(4)}`;

Deno.test("a name that fits is namespace, pod and volume id", () => {
  assert.equal(nameOf("default", "web-0", kubeletId), `default-web-0-${kubeletId}`);
  assert.equal(nameOf("a", "b.c", "d_e"), "a-b.c-d_e");
});

Deno.test("a name of 255 bytes is kept, one of 256 is shortened in the pod's name", () => {
  const podBytes = 255 - "default--".length - kubeletId.length;
  const kept = nameOf("default", "p".repeat(podBytes), kubeletId);
  assert.equal(kept, `default-${"p".repeat(podBytes)}-${kubeletId}`);
  const shortened = nameOf("default", "p".repeat(podBytes + 1), kubeletId);
  assert.match(shortened, new RegExp(`^default-p+-${kubeletId}-[0-9a-f]{12}$`));
  assert.equal(shortened.length, 255);
});

Deno.test("long names that differ only at their end have different directory names", () => {
  const long = "p".repeat(252);
  assert.notEqual(nameOf("n", `${long}1`, kubeletId), nameOf("n", `${long}2`, kubeletId));
  const id = "v".repeat(300);
  assert.notEqual(nameOf("n", "p", `${id}1`), nameOf("n", "p", `${id}2`));
});

Deno.test("the same volume always has the same name", () => {
  fc.assert(fc.property(fc.string(), fc.string(), fc.string(), (namespace, name, id) => {
    assert.equal(nameOf(namespace, name, id), nameOf(namespace, name, id));
  }));
});

const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 400 }),
  fc.constantFrom("..", ".", "/", "\0", "../../etc", "", "-", "\ud800", "a\n", ".staging"),
  fc.string({ unit: fc.constantFrom("a", "-", ".", "/", "é"), maxLength: 400 }),
);

Deno.test("whatever the three contain, the name is one visible path component of at most 255 bytes", () => {
  fc.assert(
    fc.property(hostile, hostile, hostile, (namespace, name, id) => {
      const directory = nameOf(namespace, name, id);
      assert.match(directory, /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/);
    }),
    { numRuns: 1000 },
  );
});

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
const podName = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/);
const id = fc.stringMatching(/^csi-[0-9a-f]{64}$/);

Deno.test("two volumes that a kubelet can name never share a directory", () => {
  fc.assert(fc.property(label, podName, id, label, podName, id, (n1, p1, v1, n2, p2, v2) => {
    if (v1 !== v2) assert.notEqual(nameOf(n1, p1, v1), nameOf(n2, p2, v2));
    assert(nameOf(n1, p1, v1).includes(v1));
  }));
});
