import assert from "node:assert/strict";
import { addressKey, plainAddress } from "../../../src/shared/network/address_key.ts";

for (
  const [address, key] of [
    ["10.1.2.3", "10.1.2.3"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["::ffff:a01:203", "10.1.2.3"],
    ["0:0:0:0:0:ffff:10.1.2.3", "10.1.2.3"],
    ["2001:db8:0001:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2:ffff::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8:1:2:3:4:10.1.2.3", "2001:db8:1:2::/64"],
    ["64:ff9b::10.1.2.3", "64:ff9b:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::FFFF:10.0.0.1", "10.0.0.1"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002::1", "2001:db8:1:2::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    // A key is its own key.
    ["2001:db8:1:2::/64", "2001:db8:1:2::/64"],
    ["", ""],
  ] as const
) {
  Deno.test(`the address ${address || "(none)"} counts as ${key || "(none)"}`, () => {
    assert.equal(addressKey(address), key);
  });
}

for (
  const [address, plain] of [
    ["10.1.2.3", "10.1.2.3"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["2001:DB8:0:0::1", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["", ""],
  ] as const
) {
  Deno.test(`the address ${address || "(none)"} is logged as ${plain || "(none)"}`, () => {
    assert.equal(plainAddress(address), plain);
  });
}
