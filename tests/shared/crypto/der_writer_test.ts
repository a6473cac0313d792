import assert from "node:assert/strict";
import fc from "fast-check";
import { readElements } from "../../../src/shared/crypto/der_reader.ts";
import {
  readObjectIdentifier,
  readTime,
  readUnsigned,
} from "../../../src/shared/crypto/der_values.ts";
import {
  derAsciiString,
  type DerNode,
  derObjectIdentifier,
  derTime,
  derUnsignedInteger,
  element,
  encodeDer,
} from "../../../src/shared/crypto/der_writer.ts";

const only = (written: DerNode) => {
  const elements = readElements(encodeDer(written));
  assert.equal(elements?.length, 1);
  return elements[0]!;
};
const bytes = (hex: string) => Uint8Array.fromHex(hex);

Deno.test("what is written is read back, whatever its length", () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65_535]) {
    const { tag, content } = only(element(0x04, new Uint8Array(length).fill(7)));
    assert.deepEqual([tag, content.length], [0x04, length]);
  }
  assert.throws(() => element(0x04, new Uint8Array(65_536)), RangeError);
});

Deno.test("a number has its shortest form and is never negative", () => {
  const cases = [["00", "020100"], ["7f", "02017f"], ["80", "02020080"], ["0001", "020101"]];
  for (const [given = "", written] of cases) {
    assert.equal(encodeDer(derUnsignedInteger(bytes(given))).toHex(), written);
  }
  assert.equal(encodeDer(derUnsignedInteger(new Uint8Array())).toHex(), "020100");
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (digits) => {
    const read = readUnsigned(only(derUnsignedInteger(digits)));
    assert.equal(BigInt(`0x${read?.toHex()}`), BigInt(`0x${digits.toHex()}`));
  }));
});

Deno.test("negative numbers and numbers with digits to spare are read as none", () => {
  for (const hex of ["0200", "020180", "0202007f", "0202ff80", "0101ff"]) {
    assert.equal(readUnsigned(readElements(bytes(hex))?.[0]), undefined, hex);
  }
});

Deno.test("object identifiers are written as they are read", () => {
  for (const dotted of ["2.5.4.3", "1.2.840.113549.1.1.11", "1.3.6.1.4.1.99999", "2.999.1"]) {
    assert.equal(readObjectIdentifier(only(derObjectIdentifier(dotted))), dotted);
  }
  assert.equal(
    encodeDer(derObjectIdentifier("1.2.840.10045.3.1.7")).toHex(),
    "06082a8648ce3d030107",
  );
  for (const hex of ["0600", "060180", "06028001", "060288"]) {
    assert.equal(readObjectIdentifier(readElements(bytes(hex))?.[0]), undefined, hex);
  }
});

Deno.test("instants are read back in whole seconds, and other forms of time are none", () => {
  for (const text of ["1950-01-01T00:00:00Z", "2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z"]) {
    assert.equal(String(readTime(only(derTime(Temporal.Instant.from(text))))), text);
  }
  const forms = ["2602290000Z", "260230000000Z", "26013024000Z", "260131240000Z", "260131000060Z"];
  for (const text of [...forms, "260131000000+0100", "260131000000", ""]) {
    assert.equal(readTime(only(derAsciiString(0x17, text))), undefined, text);
  }
  assert.equal(readTime(only(derAsciiString(0x18, "20260131000000.5Z"))), undefined);
});

Deno.test("text that is not ASCII has no place where only ASCII has", () => {
  assert.throws(() => derAsciiString(0x82, "käse.example"), /is not ASCII/);
});
