import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { installProduct, system } from "./support/install.ts";
import { kubectl } from "./support/kubectl.ts";
import { records, volumeMounts } from "./support/node.ts";
import { Pod } from "./support/pods.ts";

const manifest = fileURLToPath(new URL("../../deploy/csi-driver.yaml", import.meta.url));
const uninstall = () => kubectl(["delete", "-f", manifest, "--timeout=180s"]);

Deno.test("pods outlive an uninstall with their files, and go cleanly after a new install", async () => {
  await using pod = await Pod.start({ name: "left-over" });
  const { serialNumber } = await pod.certificate();
  await uninstall();
  assert.equal((await pod.certificate()).serialNumber, serialNumber);
  await installProduct("CA last");
  assert.equal((await pod.certificate()).serialNumber, serialNumber);
  await using _later = await Pod.start({ name: "later" });
  const path = await pod.targetPath();
  await pod.remove();
  assert.equal((await volumeMounts()).includes(path), false);
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
