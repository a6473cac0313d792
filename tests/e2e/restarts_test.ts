import assert from "node:assert/strict";
import { rolledOut, system } from "./support/install.ts";
import { kubectl, until } from "./support/kubectl.ts";
import { onNode, processes, volumeMounts } from "./support/node.ts";
import { Pod } from "./support/pods.ts";

const restart = (workload: string) => kubectl(["-n", system, "rollout", "restart", workload]);
async function scaleBack(): Promise<void> {
  await kubectl(["-n", system, "scale", "deployment/cert-service", "--replicas=2"]);
  await rolledOut("deployment/cert-service");
}

const driverProgram = "/usr/local/lib/csi-cert-driver/csi-driver.js";

async function kill(text: string): Promise<void> {
  const ids = await processes(text);
  assert.ok(ids.length > 0, `nothing runs ${text}`);
  for (const id of ids) Deno.kill(id, "SIGKILL");
}

Deno.test("a restarted DaemonSet issues nothing anew and goes on with the renewals", async () => {
  await using steady = await Pod.start({ name: "steady" });
  await using courier = await Pod.start({ name: "courier", attributes: { duration: "20s" } });
  const before = await steady.certificate();
  await restart("daemonset/csi-cert-driver");
  await rolledOut("daemonset/csi-cert-driver");
  const { serialNumber } = await courier.certificate();
  await courier.renewed(serialNumber);
  assert.equal((await steady.certificate()).serialNumber, before.serialNumber);
  await using _later = await Pod.start({ name: "later" });
});

Deno.test("a driver that is killed is started again and knows its volumes", async () => {
  await using courier = await Pod.start({ name: "courier", attributes: { duration: "20s" } });
  await kill(driverProgram);
  const { serialNumber } = await courier.certificate();
  await courier.renewed(serialNumber, 90_000);
  await rolledOut("daemonset/csi-cert-driver");
  await using _later = await Pod.start({ name: "later" });
});

Deno.test("without the service pods keep what they have, and new ones wait for its return", async () => {
  await using steady = await Pod.start({ name: "steady" });
  await using scaledBack = new AsyncDisposableStack();
  scaledBack.defer(scaleBack);
  await kubectl(["-n", system, "scale", "deployment/cert-service", "--replicas=0"]);
  // Within half of the grace period: it ends by itself, and is not killed.
  const wait = ["wait", "--for=delete", "pod", "-l", "app=cert-service", "--timeout=15s"];
  await kubectl(["-n", system, ...wait]);
  await using waiting = await Pod.create({ name: "waiting" });
  const event = await until(
    "a FailedMount event",
    async () =>
      (await waiting.events()).find((event) => event.startsWith("FailedMount: MountVolume.SetUp")),
  );
  assert.match(event, /certificate service/);
  assert.match(await steady.shell("cat /certs/tls.key"), /PRIVATE KEY/);
  await scaledBack.disposeAsync();
  await waiting.ready();
});

Deno.test("a restarted service goes on renewing what another one issued", async () => {
  await using courier = await Pod.start({ name: "courier", attributes: { duration: "20s" } });
  await restart("deployment/cert-service");
  await rolledOut("deployment/cert-service");
  const { serialNumber } = await courier.certificate();
  await courier.renewed(serialNumber);
});

Deno.test("a volume that is unmounted behind the kubelet's back comes back by itself", async () => {
  await using pod = await Pod.start({ name: "robbed" });
  const path = await pod.targetPath();
  await onNode("umount", path);
  assert.equal((await volumeMounts()).includes(path), false);
  await until("the mount is back", async () => (await volumeMounts()).includes(path), 180_000);
  // A container that is started anew sees it.
  await pod.tryShell("kill -9 -1; kill -TERM 1");
  await until("the container runs again", async () => {
    const { stdout } = await pod.tryShell("cat /certs/tls.crt");
    return stdout.includes("BEGIN CERTIFICATE");
  });
});

for (const program of ["kubelet", "containerd"]) {
  Deno.test(`a restarted ${program} finds pods as they were, and new ones start`, async () => {
    await using steady = await Pod.start({ name: "steady" });
    const { serialNumber } = await steady.certificate();
    await kill(program === "kubelet" ? "/kubelet --config" : "/usr/bin/containerd --config");
    await using _later = await Pod.start({ name: "later" });
    await until("the container answers", async () => (await steady.tryShell("true")).success);
    assert.equal((await steady.certificate()).serialNumber, serialNumber);
  });
}
