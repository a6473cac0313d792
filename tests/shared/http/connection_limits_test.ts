import assert from "node:assert/strict";
import { addressKey, ConnectionLimits } from "../../../src/shared/http/connection_limits.ts";

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

Deno.test("an address is counted with what one host can use besides it", () => {
  const cases = [
    ["10.0.0.1", "10.0.0.1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::FFFF:10.0.0.1", "10.0.0.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["64:ff9b::10.0.0.1", "64:ff9b:0:0::/64"],
  ] as const;
  for (const [address, key] of cases) assert.equal(addressKey(address), key, address);
});
