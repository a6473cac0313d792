import assert from "node:assert/strict";
import { Pod } from "./support/pods.ts";

/** What a pod's root may try on a volume that it mounts as writable. */
const attacks = [
  "touch /certs/new",
  "rm -rf /certs/..data /certs/tls.key",
  "ln -sfn /etc /certs/..data",
  "ln -sf /etc/passwd /certs/tls.key",
  "mv /certs/..data /certs/old",
  "mkdir /certs/..data_tmp",
  "dd if=/dev/zero of=/certs/filler bs=1M count=2",
  "chmod 0777 /certs",
  "chown 1000 /certs/tls.key",
  "mount -o remount,rw /certs",
];

Deno.test("root in a pod with a writable mount changes nothing and stops no renewal", async () => {
  await using pod = await Pod.start({
    name: "hostile",
    readOnly: false,
    attributes: { duration: "20s" },
  });
  const before = await pod.certificate();
  for (const attack of attacks) {
    const { success } = await pod.tryShell(attack);
    assert.equal(success, false, `${attack} succeeded`);
  }
  // The link, what it leads to, and the three names.
  const listing = (await pod.shell("ls -A /certs")).split("\n");
  assert.deepEqual(listing.slice(-3), ["ca.crt", "tls.crt", "tls.key"]);
  assert.equal(listing.length, 5, listing.join(" "));
  await pod.renewed(before.serialNumber);
  const { subject } = await pod.certificate();
  assert.equal(subject, "CN=hostile.default.svc.cluster.local");
});

for (const name of ["cert-service", "cert-service.csi-cert-system.svc.cluster.local"]) {
  Deno.test(`a pod called ${name} gets no name by which anybody knows the service`, async () => {
    await using pod = await Pod.start({ name });
    const certificate = await pod.certificate();
    const names = certificate.subjectAltName?.split(", ") ?? [];
    assert.deepEqual(names, [`DNS:${name}.default.svc.cluster.local`]);
    assert.equal(certificate.checkHost("cert-service.csi-cert-driver.internal"), undefined);
    assert.equal(certificate.checkHost("cert-service.csi-cert-system.svc"), undefined);
  });
}
