import assert from "node:assert/strict";
import { usableAddress } from "../../../src/shared/network/listen_address.ts";
import type { ListenAddress } from "../../../src/shared/text/network_address.ts";

const byDefault: ListenAddress = {
  hostname: "::",
  port: 9808,
  variable: "HEALTH_ADDR",
  isDefault: true,
};

/** As Deno.listen fails where the kernel reports this error. */
function failing(code: string, message: string) {
  return () => {
    throw Object.assign(new Error(message), { code });
  };
}

function neverLogs(message: string): void {
  assert.fail(message);
}

for (const code of ["EAFNOSUPPORT", "EADDRNOTAVAIL"]) {
  Deno.test(`a default address becomes 0.0.0.0 where listening on [::] fails with ${code}`, () => {
    const lines: unknown[] = [];
    const log = (...line: unknown[]) => void lines.push(line);
    const usable = usableAddress(byDefault, log, failing(code, "not supported"));
    assert.deepEqual(usable, { ...byDefault, hostname: "0.0.0.0" });
    assert.deepEqual(lines, [[
      "this machine has no IPv6, and {variable} is unset: listening on {address}",
      { variable: "HEALTH_ADDR", address: "0.0.0.0:9808" },
    ]]);
  });
}

Deno.test("a default address is not replaced where listening fails for another reason", () => {
  assert.throws(
    () => usableAddress(byDefault, neverLogs, failing("EMFILE", "too many open files")),
    /^Error: cannot listen on \[::\]:9808 \(HEALTH_ADDR\): too many open files$/,
  );
});

Deno.test("an address that the operator set is not replaced: the error names the variable", () => {
  const set = { ...byDefault, isDefault: false };
  assert.throws(
    () => usableAddress(set, neverLogs, failing("EAFNOSUPPORT", "not supported")),
    /^Error: cannot listen on \[::\]:9808 \(HEALTH_ADDR\): not supported$/,
  );
});

Deno.test("an address that this machine does not have is named with the kernel's reason", () => {
  const address = { hostname: "2001:db8::5", port: 0, variable: "LISTEN_ADDR" };
  assert.throws(
    () => usableAddress(address, neverLogs),
    /^Error: cannot listen on \[2001:db8::5\]:0 \(LISTEN_ADDR\): (?!.*invalid argument)./,
  );
});

Deno.test("an address whose port is in use is returned as it is: the listener reports the port", () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = { hostname: "127.0.0.1", port: taken.addr.port, variable: "LISTEN_ADDR" };
  assert.equal(usableAddress(address, neverLogs), address);
});
