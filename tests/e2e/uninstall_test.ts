import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { refusedCalls } from "./support/audit.ts";
import { applyManifest, rolledOut, system } from "../../scripts/support/install.ts";
import { getJson, kubectl, until } from "../../scripts/support/kubectl.ts";
import { onNode, records, volumeMounts } from "./support/node.ts";
import { Pod } from "./support/pods.ts";

const manifest = fileURLToPath(new URL("../../deploy/base/csi-driver.yaml", import.meta.url));
const uninstall = () => kubectl(["delete", "-f", manifest, "--timeout=180s"]);

/** Lines of a program's readiness, from each of its pods. */
async function readiness(app: string): Promise<string[]> {
  const { items } = await getJson("pods", "-n", system, "-l", `app=${app}`);
  return await Promise.all(items.map(async ({ status }: { status: { podIP?: string } }) => {
    const response = await fetch(`http://${status.podIP}:9808/readyz`).catch(() => undefined);
    return await response?.text() ?? "";
  }));
}

/** A CA by the two commands of docs/how-to/own-ca.md, which need no program of this project. */
async function installOwnCa(): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: Deno.env.get("E2E_FOLDER")! });
  const files = [`${folder}/tls.crt`, `${folder}/tls.key`] as const;
  await onNode(
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] as const,
    ...["-nodes", "-days", "3650", "-subj", "/CN=My CA", "-keyout", files[1], "-out", files[0]],
    ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
  );
  const secret = ["create", "secret", "tls", "csi-ca-secret"];
  await kubectl([...secret, `--cert=${files[0]}`, `--key=${files[1]}`, "-n", system]);
}

Deno.test("pods survive an uninstall; an install whose CA is created last finds them and starts the waiting ones", async () => {
  await using old = await Pod.start({ name: "left-over" });
  const { serialNumber } = await old.certificate();
  await uninstall();
  assert.equal((await old.certificate()).serialNumber, serialNumber);

  const installed = new Date();
  await applyManifest();
  await rolledOut("daemonset/csi-cert-driver");
  await until("the service waits for its CA", async () => {
    const texts = await readiness("cert-service");
    return texts.length === 2 && texts.every((text) => text.includes("the CA does not exist"));
  });
  await using early = await Pod.create({ name: "early" });
  await early.failedMount(/certificate service/);
  assert.equal((await old.certificate()).serialNumber, serialNumber);

  await installOwnCa();
  await rolledOut("deployment/cert-service");
  // The kubelet brings drivers the trust bundle within two minutes, and then has to publish again.
  await early.ready(300);
  assert.match((await early.certificate()).issuer, /CN=My CA/);
  assert.ok(await early.holdsPair());
  // The new CA's bundle does not have the old root: the driver renews what it found, within minutes.
  await until("the volume that was found is renewed by the new CA", async () => {
    const { issuer } = await old.certificate();
    return issuer.includes("CN=My CA");
  });
  assert.ok(await old.holdsPair());
  assert.deepEqual(await refusedCalls(installed), []);
  const path = await old.targetPath();
  await old.remove();
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
