import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { rolledOut, system } from "../../scripts/support/install.ts";
import { getJson, kubectl, until } from "../../scripts/support/kubectl.ts";
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

const daemonSet = "daemonset/csi-cert-driver";
const replacements = {
  "a restarted DaemonSet": () => restart(daemonSet),
  "a rollout of another driver": () => setVariable("LOG_LEVEL=debug"),
  "its rollout back": () => setVariable("LOG_LEVEL-"),
};
const setVariable = (change: string) => kubectl(["-n", system, "set", "env", daemonSet, change]);

for (const [what, replace] of Object.entries(replacements)) {
  Deno.test(`${what} issues nothing again and continues the renewals`, async () => {
    await using steady = await Pod.start({ name: "steady" });
    await using courier = await Pod.start({ name: "courier", attributes: { duration: "20s" } });
    const before = await steady.certificate();
    const driver = await driverUid();
    await replace();
    await rolledOut(daemonSet);
    assert.notEqual(await driverUid(), driver);
    const { serialNumber } = await courier.certificate();
    await courier.renewed(serialNumber);
    assert.equal((await steady.certificate()).serialNumber, before.serialNumber);
    await using _later = await Pod.start({ name: "later" });
  });
}

/** The pod that is kept, where another one is about to be deleted. */
async function driverUid(): Promise<string> {
  const { items } = await getJson("pods", "-n", system, "-l", "app=csi-cert-driver");
  const [pod] = items.filter(({ metadata }: Listed) => metadata.deletionTimestamp === undefined);
  return pod?.metadata.uid;
}

interface Listed {
  readonly metadata: { readonly deletionTimestamp?: string };
}

Deno.test("a driver that is killed is started again and finds its volumes", async () => {
  await using courier = await Pod.start({ name: "courier", attributes: { duration: "20s" } });
  const before = await processes(driverProgram);
  await kill(driverProgram);
  await until("another one runs", async () => {
    const now = await processes(driverProgram);
    return now.length > 0 && now.every((id) => !before.includes(id));
  });
  const { serialNumber } = await courier.certificate();
  await courier.renewed(serialNumber, 90_000);
  await rolledOut("daemonset/csi-cert-driver");
  await using _later = await Pod.start({ name: "later" });
});

Deno.test("without the service pods keep their certificates, and new pods wait for its return", async () => {
  await using steady = await Pod.start({ name: "steady" });
  await using scaledBack = new AsyncDisposableStack();
  scaledBack.defer(scaleBack);
  await kubectl(["-n", system, "scale", "deployment/cert-service", "--replicas=0"]);
  // Within half of the grace period: it ends by itself, and is not killed.
  const wait = ["wait", "--for=delete", "pod", "-l", "app=cert-service", "--timeout=15s"];
  await kubectl(["-n", system, ...wait]);
  await using waiting = await Pod.create({ name: "waiting" });
  await waiting.failedMount(/certificate service/);
  assert.match(await steady.shell("cat /certs/tls.key"), /PRIVATE KEY/);
  await scaledBack.disposeAsync();
  await waiting.ready();
});

Deno.test("a service that is restarted, and one of one replica and of two again, renew what another issued", async () => {
  await using courier = await Pod.start({ name: "courier", attributes: { duration: "20s" } });
  await using scaledBack = new AsyncDisposableStack();
  scaledBack.defer(scaleBack);
  const steps = {
    restart: () => restart("deployment/cert-service"),
    one: () => kubectl(["-n", system, "scale", "deployment/cert-service", "--replicas=1"]),
    two: () => kubectl(["-n", system, "scale", "deployment/cert-service", "--replicas=2"]),
  };
  for (const step of Object.values(steps)) {
    await step();
    await rolledOut("deployment/cert-service");
    const { serialNumber } = await courier.certificate();
    await courier.renewed(serialNumber);
    assert.ok(await courier.holdsPair());
  }
});

Deno.test("a volume that is unmounted without the kubelet is mounted again", async () => {
  await using pod = await Pod.start({ name: "robbed" });
  const path = await pod.targetPath();
  const lost = await pod.certificate();
  await onNode("umount", path);
  assert.equal((await volumeMounts()).includes(path), false);
  await until("the mount is back", async () => (await volumeMounts()).includes(path), 180_000);
  // A container that is started again sees it; the running one still has the lost mount.
  assert.equal((await pod.certificate()).serialNumber, lost.serialNumber);
  await pod.tryShell("kill -TERM 1");
  await until("the container is started again", async () => await pod.restarts() === 1);
  await pod.ready();
  const onTheNode = new X509Certificate(await Deno.readTextFile(`${path}/tls.crt`));
  assert.equal((await pod.certificate()).serialNumber, onTheNode.serialNumber);
  assert.notEqual(onTheNode.serialNumber, lost.serialNumber);
  assert.ok(await pod.holdsPair());
});

for (const program of ["kubelet", "containerd"]) {
  Deno.test(`a restarted ${program} leaves running pods unchanged, and new ones start`, async () => {
    await using steady = await Pod.start({ name: "steady" });
    await using courier = await Pod.start({ name: "courier", attributes: { duration: "20s" } });
    const { serialNumber } = await steady.certificate();
    await kill(program === "kubelet" ? "/kubelet --config" : "/usr/bin/containerd --config");
    await using _later = await Pod.start({ name: "later" });
    await until("the container answers", async () => (await steady.tryShell("true")).success);
    assert.equal((await steady.certificate()).serialNumber, serialNumber);
    await courier.renewed((await courier.certificate()).serialNumber);
    assert.deepEqual([await steady.restarts(), await courier.restarts()], [0, 0]);
  });
}
