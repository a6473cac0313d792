import assert from "node:assert/strict";
import { SlotIndex } from "../../../src/service/inventory/slot_index.ts";

/** Beyond what the index begins with, so that it has grown twice. */
const count = 70_000;

Deno.test("slots are found by their text, the newest first, before and after the index grew", () => {
  const index = new SlotIndex();
  for (let slot = 1; slot <= count; slot++) index.add(slot, `text ${slot % (count / 2)}`);
  for (let slot = 1; slot <= count / 2; slot++) {
    const found = index.find(`text ${slot % (count / 2)}`);
    assert.ok(found.indexOf(slot + count / 2) < found.indexOf(slot), `${slot}: ${found}`);
    assert.ok(found.includes(slot + count / 2), `${slot}: ${found}`);
  }
  for (let slot = 1; slot <= count; slot += 2) index.remove(slot);
  for (let slot = 1; slot <= count; slot++) {
    const isFound = index.find(`text ${slot % (count / 2)}`).includes(slot);
    assert.equal(isFound, slot % 2 === 0, String(slot));
  }
});

Deno.test("texts that were never added have almost no slots", () => {
  const index = new SlotIndex();
  for (let slot = 1; slot <= count; slot++) index.add(slot, crypto.randomUUID());
  let found = 0;
  for (let asked = 0; asked < 1_000; asked++) found += index.find(crypto.randomUUID()).length;
  // Hashes have 32 bits: 70,000,000 pairs meet 0.02 times.
  assert.ok(found < 10, String(found));
});
