import assert from "node:assert/strict";
import fc from "fast-check";
import { decodePem, describePem, encodePem } from "../../../src/shared/crypto/pem.ts";

Deno.test("what is encoded as PEM is decoded again, in lines of at most 64 characters", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (der) => {
    const text = encodePem("CERTIFICATE", der);
    assert.ok(text.split("\n").every((line) => line.length <= 64));
    assert.deepEqual(decodePem("CERTIFICATE", text), [new Uint8Array(der)]);
  }));
});

Deno.test("blocks of other labels and the text between blocks are passed over", () => {
  const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)];
  const text = "subject=CN = x\n" + encodePem("A", one) + "\nissuer\r\n" + encodePem("B", two) +
    encodePem("A", two).replaceAll("\n", "\r\n");
  assert.deepEqual(decodePem("A", text), [one, two]);
  assert.equal(describePem(text), "PEM blocks A, B, A");
  assert.equal(describePem("nothing"), "no PEM block");
});

Deno.test("a broken block is returned as an empty array and not left out", () => {
  const whole = encodePem("A", Uint8Array.of(1, 2, 3));
  const broken = [
    whole.replace("AQID", "A*ID"),
    whole.replace("AQID", "AQI"),
    whole.slice(0, 25),
    whole.replace("END A", "END B"),
    "-----BEGIN A-----\n-----END A-----\n",
  ];
  for (const text of broken) {
    assert.deepEqual(decodePem("A", text), [new Uint8Array()], text);
    assert.deepEqual(decodePem("A", text + whole).length, 2, text);
  }
});

Deno.test("any text is decoded without a throw", () => {
  const line = fc.constantFrom("-----BEGIN A-----", "-----END A-----", "AQID", "\n", "-----");
  fc.assert(fc.property(fc.array(fc.oneof(line, fc.string())), (parts) => {
    decodePem("A", parts.join(""));
    describePem(parts.join("\n"));
  }));
});
