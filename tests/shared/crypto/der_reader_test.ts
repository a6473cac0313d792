import assert from "node:assert/strict";
import fc from "fast-check";
import {
  isByteAlignedBitString,
  readElements,
  readSequence,
} from "../../../src/shared/crypto/der_reader.ts";

const bytes = (hex: string) => Uint8Array.fromHex(hex.replaceAll(" ", ""));

Deno.test("elements that fill the bytes are read one after the other", () => {
  const elements = readElements(bytes("0201 05 0500 3003 020107"));
  assert.deepEqual(elements?.map(({ tag, whole }) => [tag, whole.toHex()]), [
    [0x02, "020105"],
    [0x05, "0500"],
    [0x30, "3003020107"],
  ]);
  assert.deepEqual(readElements(new Uint8Array()), []);
});

Deno.test("lengths of each size are read", () => {
  for (const [header, length] of [["7f", 127], ["8180", 128], ["820100", 256]] as const) {
    const [element] = readElements(Uint8Array.of(4, ...bytes(header), ...Array(length).fill(1))) ??
      [];
    assert.equal(element?.content.length, length);
  }
});

const wrong = [
  ["a length in two forms", "04817f" + "00".repeat(127)],
  ["a length with a leading zero", "04820080" + "00".repeat(128)],
  ["an indefinite length", "3080 0201050000"],
  ["a length of five bytes", "04 8500000000 01 00"],
  ["a length that is cut off", "0482 01"],
  ["no length", "04"],
  ["more content than there is", "0402 01"],
  ["a tag above 30", "1f8101 00"],
] as const;

for (const [what, hex] of wrong) {
  Deno.test(`an element with ${what} is not DER`, () => {
    assert.equal(readElements(bytes(hex)), undefined);
  });
}

Deno.test("a sequence is one SEQUENCE and nothing else", () => {
  assert.deepEqual(readSequence(bytes("3000")), []);
  for (const hex of ["", "3000 3000", "3100", "3000 00", "3001"]) {
    assert.equal(readSequence(bytes(hex)), undefined);
  }
});

Deno.test("a bit string is whole bytes only without unused bits", () => {
  const isWhole = (hex: string) => isByteAlignedBitString(readElements(bytes(hex))?.[0]);
  assert.equal(isWhole("030200ff"), true);
  for (const hex of ["030201fe", "0300", "040200ff", ""]) assert.equal(isWhole(hex), false);
});

Deno.test("what is read covers any bytes without a gap, or is refused", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (any) => {
    const elements = readElements(any);
    if (elements === undefined) return;
    assert.equal(elements.map(({ whole }) => whole.toHex()).join(""), any.toHex());
  }));
});
