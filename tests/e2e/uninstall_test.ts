import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { installProduct, system } from "./support/install.ts";
import { kubectl, until } from "./support/kubectl.ts";
import { records, volumeDirectories, volumeMounts } from "./support/node.ts";
import { Pod } from "./support/pods.ts";

const manifest = fileURLToPath(new URL("../../deploy/csi-driver.yaml", import.meta.url));
const uninstall = () => kubectl(["delete", "-f", manifest, "--timeout=180s"]);

Deno.test("pods outlive an uninstall with their files, and go cleanly after a new install", async () => {
  await using pod = await Pod.start({ name: "left-over" });
  const { serialNumber } = await pod.certificate();
  await uninstall();
  assert.equal((await pod.certificate()).serialNumber, serialNumber);
  await installProduct();
  assert.equal((await pod.certificate()).serialNumber, serialNumber);
  await pod.remove();
  await until("the kubelet let go", async () => (await volumeDirectories()).length === 0);
  assert.deepEqual(await volumeMounts(), []);
});

Deno.test("an uninstall leaves nothing in the cluster and nothing of a pod on the node", async () => {
  await uninstall();
  assert.deepEqual(await volumeMounts(), []);
  assert.deepEqual(await records(), []);
  const kinds = "csidrivers,clusterroles,clusterrolebindings,namespaces";
  const left = await kubectl(["get", kinds, "-o", "name"]);
  assert.doesNotMatch(left, /csi-cert|csi\.k8s\.cert-driver/);
  assert.equal(left.includes(system), false);
});
