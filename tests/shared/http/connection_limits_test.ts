import assert from "node:assert/strict";
import { ConnectionLimits } from "../../../src/shared/http/connection_limits.ts";

/** Admits connections by name and records which were closed. */
function openLimits(total: number, perAddress: number) {
  const limits = new ConnectionLimits({ total, perAddress });
  const closed: string[] = [];
  const admit = (address: string, name: string) => limits.admit(address, () => closed.push(name));
  return { limits, closed, admit };
}

Deno.test("over an address's cap its oldest connection closes", () => {
  const { limits, closed, admit } = openLimits(10, 2);
  for (const name of ["1", "2", "3"]) admit("10.0.0.1", name);
  admit("10.0.0.2", "other");
  assert.deepEqual(closed, ["1"]);
  assert.equal(limits.size, 3);
});

Deno.test("over the cap in all the oldest one of the address that holds most closes", () => {
  const { limits, closed, admit } = openLimits(4, 3);
  admit("10.0.0.1", "honest");
  for (const name of ["1", "2", "3"]) admit("10.0.0.2", name);
  admit("10.0.0.3", "new");
  assert.deepEqual(closed, ["1"]);
  assert.equal(limits.size, 4);
});

Deno.test("a connection that has ended is counted once, whether it was closed or not", () => {
  const { limits, admit } = openLimits(2, 1);
  const first = admit("10.0.0.1", "1");
  const second = admit("10.0.0.1", "2");
  first[Symbol.dispose]();
  assert.equal(limits.size, 1);
  second[Symbol.dispose]();
  second[Symbol.dispose]();
  assert.equal(limits.size, 0);
});
