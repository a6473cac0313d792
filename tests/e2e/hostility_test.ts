import assert from "node:assert/strict";
import { onNode } from "./support/node.ts";
import { Pod } from "./support/pods.ts";

/** Attacks of a pod's root on a volume that it mounts as writable. */
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

/** What an attack could have changed outside its pod, as one text that compares. */
async function outside(neighbour: Pod): Promise<string> {
  const own = await neighbour.targetPath();
  const texts = ["/etc/passwd", `${own}/tls.crt`, `${own}/tls.key`, `${own}/ca.crt`]
    .map((path) => Deno.readTextFile(path));
  // Where the links of the attacks point to: what a renewal would have written or removed there.
  const planted = (await Array.fromAsync(Deno.readDir("/etc"))).map(({ name }) => name)
    .filter((name) => /^\.\.|^(tls|ca)\./.test(name));
  const details = ["stat", "-c", "%n %F %a %u %g %s %Y", "/etc/passwd"] as const;
  const listings = [
    onNode(...details),
    onNode("ls", "-lA", own, "/var/lib/kubelet/plugins", "/var/lib/kubelet/plugins_registry"),
  ];
  return [...await Promise.all([...texts, ...listings]), ...planted].join("\n");
}

Deno.test("root in a pod with a writable mount changes no file and stops no renewal", async () => {
  await using neighbour = await Pod.start({ name: "neighbour" });
  await using pod = await Pod.start({
    name: "hostile",
    readOnly: false,
    attributes: { duration: "20s" },
  });
  assert.equal(await pod.shell("id -u"), "0");
  const before = await outside(neighbour);
  const { serialNumber } = await pod.certificate();
  for (const attack of attacks) {
    const { success } = await pod.tryShell(attack);
    assert.equal(success, false, `${attack} succeeded`);
  }
  // The link, what it leads to, and the three names.
  const listing = (await pod.shell("ls -A /certs")).split("\n");
  assert.deepEqual(listing.slice(-3), ["ca.crt", "tls.crt", "tls.key"]);
  assert.equal(listing.length, 5, listing.join(" "));
  await pod.renewed(serialNumber);
  const { subject } = await pod.certificate();
  assert.equal(subject, "CN=hostile.default.svc.cluster.local");
  assert.ok(await pod.holdsPair());
  // The renewal wrote as root on the node: into this volume, and to no target of an attack's links.
  assert.equal(await outside(neighbour), before);
});

for (const name of ["cert-service", "cert-service.csi-cert-system.svc.cluster.local"]) {
  Deno.test(`a pod called ${name} gets no name under which clients know the service`, async () => {
    await using pod = await Pod.start({ name });
    const certificate = await pod.certificate();
    const names = certificate.subjectAltName?.split(", ") ?? [];
    assert.deepEqual(names, [`DNS:${name}.default.svc.cluster.local`]);
    assert.equal(certificate.checkHost("cert-service.csi-cert-driver.internal"), undefined);
    assert.equal(certificate.checkHost("cert-service.csi-cert-system.svc"), undefined);
  });
}
