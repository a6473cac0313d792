import assert from "node:assert/strict";
import fc from "fast-check";
import { IndexedHeap } from "../../../src/service/inventory/indexed_heap.ts";

/** All keys, first to last; empties the heap. */
function drain(heap: IndexedHeap<string>): string[] {
  const keys: string[] = [];
  for (let first = heap.peek(); first !== undefined; first = heap.peek()) {
    keys.push(first.key);
    heap.delete(first.key);
  }
  return keys;
}

Deno.test("an empty heap has no first key, and nothing to delete", () => {
  const heap = new IndexedHeap<string>();
  assert.equal(heap.peek(), undefined);
  assert.equal(heap.delete("a"), false);
  assert.equal(heap.size, 0);
});

Deno.test("a key set again moves, behind the others of its priority", () => {
  const heap = new IndexedHeap<string>();
  for (const key of ["a", "b", "c"]) heap.set(key, 1);
  heap.set("a", 1);
  heap.set("c", 0);
  assert.equal(heap.size, 3);
  assert.deepEqual(drain(heap), ["c", "b", "a"]);
});

Deno.test("a cleared heap is empty and can be used again", () => {
  const heap = new IndexedHeap<string>();
  heap.set("a", 1);
  heap.clear();
  assert.equal(heap.peek(), undefined);
  assert.equal(heap.delete("a"), false);
  heap.set("a", 2);
  assert.deepEqual(drain(heap), ["a"]);
});

Deno.test("after any sets and deletes the keys come out as a sorted list would have them", () => {
  const key = fc.integer({ min: 0, max: 30 }).map(String);
  const operation = fc.tuple(key, fc.option(fc.integer({ min: -5, max: 5 })));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const heap = new IndexedHeap<string>();
      let list: { key: string; priority: number }[] = [];
      for (const [key, priority] of operations) {
        const known = list.some((item) => item.key === key);
        list = list.filter((item) => item.key !== key);
        if (priority === null) assert.equal(heap.delete(key), known);
        else {
          heap.set(key, priority);
          list.push({ key, priority });
        }
        // The sort is stable: of one priority, the one set last is last.
        list.sort((left, right) => left.priority - right.priority);
        assert.equal(heap.size, list.length);
        assert.equal(heap.peek()?.key, list[0]?.key);
        assert.equal(heap.peek()?.priority, list[0]?.priority);
      }
      assert.deepEqual(drain(heap), list.map(({ key }) => key));
    }),
  );
});
