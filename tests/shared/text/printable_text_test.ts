import assert from "node:assert/strict";
import {
  joinProblems,
  maxReasonCharacters,
  truncate,
} from "../../../src/shared/text/printable_text.ts";

Deno.test("a long text is cut at its bound, never inside a character", () => {
  assert.equal(truncate("abc", 3), "abc");
  assert.equal(truncate("abcd", 3), "ab…");
  assert.equal(truncate("a\u{1f600}b", 3), "a…");
  assert(truncate("\u{1f600}".repeat(100), 51).isWellFormed());
});

Deno.test("of many problems the first are listed and the others counted, within a reason's bound", () => {
  assert.equal(joinProblems([]), "");
  assert.equal(joinProblems(["a", "b"]), "a; b");
  assert.equal(joinProblems(["a", "b"], 3), "a; b; and 3 more");
  const many = Array.from({ length: 12 }, (_, at) => `${at}`);
  assert.equal(joinProblems(many), "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 2 more");
  for (const length of [90, 200, 1_000, 5_000]) {
    const text = joinProblems(new Array(100).fill("x".repeat(length)), 5_000_000);
    assert(text.length <= maxReasonCharacters, `${length}: ${text.length}`);
    assert.match(text, /^x+…?(; x+)*; and \d+ more$/);
  }
});
