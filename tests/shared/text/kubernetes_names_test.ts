import assert from "node:assert/strict";
import {
  isIdentifier,
  isObjectName,
  isUid,
  parseNamespacedName,
} from "../../../src/shared/text/kubernetes_names.ts";

/** These would change the path of a file or of an API request, or are rejected by Kubernetes. */
const neverNames = ["", ".", "..", "../a", "a/b", "a/../b", "a\\b", "-a", "a_", "a\n", "a b", "ä"];

Deno.test("an object's name is a subdomain of at most 253 characters, whose labels have no limit of their own", () => {
  for (const name of ["a", "7", "web-0", "ip-10-0-0-1.example", "a".repeat(253)]) {
    assert.equal(isObjectName(name), true, name);
  }
  for (const name of [...neverNames, "A", "a-", ".a", "a.", "a..b", "a.-b", "a".repeat(254)]) {
    assert.equal(isObjectName(name), false, name);
  }
});

Deno.test("an identifier starts with a letter or a digit and has at most 128 bytes", () => {
  for (const id of ["a", "csi-0A.b_c", "a..b", "7".repeat(128)]) {
    assert.equal(isIdentifier(id), true, id);
  }
  for (const id of [...neverNames.filter((name) => name !== "a_"), "_a", "7".repeat(129)]) {
    assert.equal(isIdentifier(id), false, id);
  }
});

Deno.test("a namespaced name is a label and an object's name with one slash between them", () => {
  assert.deepEqual(parseNamespacedName("shop/web.v2"), { namespace: "shop", name: "web.v2" });
  const bad = [
    "",
    "shop",
    "shop/",
    "/web",
    "shop/web/x",
    "a.b/web",
    "Shop/web",
    "shop/..",
    "../web",
  ];
  for (const text of [...bad, `${"a".repeat(64)}/web`]) {
    assert.equal(parseNamespacedName(text), undefined, text);
  }
});

Deno.test("a uid is a UUID in lower case, or the same without dashes", () => {
  for (const uid of ["7d1f7a3c-1f0e-4b5f-9d8e-2f6f5b1c9a11", "7d1f7a3c1f0e4b5f9d8e2f6f5b1c9a11"]) {
    assert.equal(isUid(uid), true, uid);
    for (const other of [uid.toUpperCase(), ` ${uid}`, `${uid}\n`, uid.slice(1), `${uid}1`]) {
      assert.equal(isUid(other), false, other);
    }
  }
  for (const other of ["", "web-0", "7d1f-7a3c1f0e4b5f9d8e2f6f5b1c9a11", "x".repeat(32)]) {
    assert.equal(isUid(other), false, other);
  }
});
