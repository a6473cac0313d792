import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { kubectl, until } from "../../scripts/support/kubectl.ts";
import { Pod } from "./support/pods.ts";

Deno.test("the example pod starts with a pair that openssl in its container accepts", async () => {
  const file = fileURLToPath(new URL("../../deploy/example-pod.yaml", import.meta.url));
  await kubectl(["apply", "-f", file]);
  await using pod = new Pod({ name: "example" });
  await pod.ready();
  assert.ok(await pod.holdsPair("/etc/certs"));
  assert.equal(await pod.shell("id -u"), "1000");
  const names = await pod.shell(
    "openssl x509 -in /etc/certs/tls.crt -noout -subject -ext subjectAltName",
  );
  assert.match(names, /CN = example\.default\.svc\.cluster\.local/);
  for (const name of ["example.default.svc.cluster.local", "example", "example.default.svc"]) {
    assert.match(names, new RegExp(`DNS:${name.replaceAll(".", "\\.")}(,|\\s|$)`));
  }
});

Deno.test("the API server accepts each object of the tutorial, with no field that it does not know", async () => {
  const file = fileURLToPath(new URL("../../deploy/examples/mutual-tls.yaml", import.meta.url));
  await kubectl(["create", "namespace", "mtls-demo"]);
  try {
    await kubectl(["apply", "--dry-run=server", "--validate=strict", "-f", file]);
  } finally {
    await kubectl(["delete", "namespace", "mtls-demo"]);
  }
});

Deno.test("two pods use TLS and verify each other by name with ca.crt alone", async () => {
  await using server = await Pod.start({ name: "tls-server" });
  await using client = await Pod.start({ name: "tls-client" });
  const { status } = await server.object();
  await server.shell(
    "cd /certs && openssl s_server -accept 8443 -cert tls.crt -key tls.key -CAfile ca.crt " +
      "-no-CApath -no-CAstore -Verify 1 -verify_return_error -www >/tmp/log 2>&1 &",
  );
  // In the kernel's tables, where state 0A is listening.
  const listens = `grep -q ':${(8443).toString(16).toUpperCase()} .* 0A ' /proc/net/tcp*`;
  await until("the server listens", async () => (await server.tryShell(listens)).success);
  const connect = async (name: string, identity: string) => {
    const { stdout } = await client.tryShell(
      `cd /certs && printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet ` +
        `-connect ${status.podIP}:8443 -CAfile ca.crt -no-CApath -no-CAstore ${identity} ` +
        `-verify_return_error -verify_hostname ${name} 2>&1`,
    );
    return stdout;
  };
  const own = "-cert tls.crt -key tls.key";
  const name = "tls-server.default.svc.cluster.local";
  assert.match(await connect(name, own), /^HTTP\/1\.0 200 ok/m);
  const other = await connect("other.default.svc.cluster.local", own);
  assert.match(other, /ostname mismatch/);
  // A client without a certificate gets no answer.
  for (const refused of [other, await connect(name, "")]) assert.doesNotMatch(refused, /200 ok/);
});

Deno.test("an ordinary user reads the files, by its group where there is an fsGroup", async () => {
  const user = { runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true };
  await using plain = await Pod.start({ name: "no-group", securityContext: user });
  await using grouped = await Pod.start({
    name: "with-group",
    securityContext: { ...user, fsGroup: 2345 },
  });
  const look = "stat -Lc '%a %u %g' /certs/tls.key && openssl pkey -in /certs/tls.key -noout";
  assert.equal(await plain.shell(look), "644 0 0");
  assert.equal(await grouped.shell(look), "640 0 2345");
});

for (const [readOnly, mountReadOnly] of [[true, true], [true, false], [false, true]] as const) {
  Deno.test(`a pod can read and not write, also after a renewal, with readOnly ${readOnly} of its volume and ${mountReadOnly} of its mount`, async () => {
    const attributes = { duration: "10s" };
    await using pod = await Pod.start({ name: "reader", readOnly, mountReadOnly, attributes });
    const { serialNumber } = await pod.certificate();
    await pod.renewed(serialNumber);
    assert.ok(await pod.holdsPair());
    for (const write of ["touch /certs/new", "echo x >/certs/tls.crt", "rm /certs/ca.crt"]) {
      const { success, stderr } = await pod.tryShell(write);
      assert.equal(success, false, write);
      assert.match(stderr, /Read-only file system/);
    }
  });
}

Deno.test("a pod that requests another's name waits, and its events state what to do", async () => {
  await using pod = await Pod.create({
    name: "greedy",
    attributes: { "dns-names": "bank.example.com" },
  });
  const event = await pod.failedMount(/the policy for namespace default does not allow it/);
  assert.match(event, /dns-names "bank\.example\.com"/);
  assert.match(event, /dnsNames: \["bank\.example\.com"\]/);
});
