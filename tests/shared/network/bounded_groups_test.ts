import assert from "node:assert/strict";
import { BoundedGroups } from "../../../src/shared/network/bounded_groups.ts";

Deno.test("a full set evicts the oldest of the group that has most", () => {
  const groups = new BoundedGroups<string>({ total: 4 });
  const evicted = ["a1", "b1", "b2", "c1", "b3", "d1", "e1", "e2"].map((member) =>
    groups.add(member.charAt(0), member)
  );
  assert.deepEqual(evicted, [undefined, undefined, undefined, undefined, "b1", "b2", "a1", "b3"]);
  assert.deepEqual([...groups], ["c1", "d1", "e1", "e2"]);
  groups.delete("e", "e1");
  groups.delete("e", "unknown");
  assert.deepEqual([groups.size, groups.count("e"), groups.oldest("e")], [3, 1, "e2"]);
  assert.equal(groups.add("f", "f1"), undefined);
});

Deno.test("a full group evicts its own oldest member, although the set has room", () => {
  const groups = new BoundedGroups<string>({ total: 10, perGroup: 2 });
  const evicted = ["a1", "b1", "a2", "a3"].map((member) => groups.add(member.charAt(0), member));
  assert.deepEqual(evicted, [undefined, undefined, undefined, "a1"]);
  assert.deepEqual([...groups], ["a2", "a3", "b1"]);
});
