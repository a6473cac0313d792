import assert from "node:assert/strict";
import { rolledOut, system } from "../../scripts/support/install.ts";
import { getJson, kubectl, until } from "../../scripts/support/kubectl.ts";
import { Pod } from "./support/pods.ts";
import { readmeBlock } from "./support/readme.ts";

/** What `csi-driver status` prints of a pod, from the driver's own pod. */
async function status(pod: string): Promise<{ serial: string; state: string } | undefined> {
  const inside = ["exec", "daemonset/csi-cert-driver", "--", "/usr/local/bin/csi-driver", "status"];
  const lines = (await kubectl(["-n", system, ...inside])).split("\n");
  const cells = lines.map((line) => line.split(/\s{2,}/)).find(([name]) => name === pod);
  return cells && { serial: cells[1] ?? "", state: cells[4] ?? "" };
}

async function scale(replicas: number): Promise<void> {
  await kubectl(["-n", system, "scale", "deployment/cert-service", `--replicas=${replicas}`]);
  await rolledOut("deployment/cert-service");
}

/** Runs the README's commands for operators on this pod's certificate; returns what grpcurl printed. */
async function runCommands(serial: string, podUid: string): Promise<string> {
  const folder = await Deno.makeTempDir({ dir: Deno.env.get("E2E_FOLDER")! });
  const role = await readmeBlock("yaml", /^kind: ClusterRole$/m);
  await Deno.writeTextFile(`${folder}/operator.yaml`, role);
  const block = await readmeBlock("sh", /port-forward service\/cert-service/);
  const [preparation, calls] = [
    block.slice(0, block.indexOf("\ncall List")),
    block.slice(block.indexOf("\ncall List")),
  ];
  const ours = calls.replace('"shop"', '"default"')
    .replace(/("serial_number": )"[0-9a-f]+"/, `$1"${serial}"`)
    .replace(/("pod_uid": )"[0-9a-f-]+"/, `$1"${podUid}"`);
  const script = [
    "set -e",
    // The forwarding ends with the script.
    "trap 'kill $(jobs -p)' EXIT",
    preparation,
    "until (exec 3<>/dev/tcp/localhost/50051) 2>/dev/null; do sleep 0.2; done",
    // Drivers tell a service that took another's place what they hold.
    `until call ListCertificates '{}' | grep -q ${serial}; do sleep 0.2; done`,
    ours,
  ].join("\n");
  const { success, stdout, stderr } = await new Deno.Command("timeout", {
    args: ["60", "bash", "-c", script],
    cwd: folder,
    stdin: "null",
  }).output();
  const [out, words] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.ok(success, `${out}\n${words}`);
  return out ?? "";
}

Deno.test("what the README tells operators works word for word, with grpcurl through a port-forward", async () => {
  await using pod = await Pod.start({ name: "watched" });
  const { metadata } = await pod.object();
  const shown = await until("csi-driver status shows the pod", () => status("default/watched"));
  assert.equal(shown.state, "ok");
  await using undo = new AsyncDisposableStack();
  undo.defer(() => scale(2));
  undo.defer(async () => {
    const remove = ["delete", "--ignore-not-found"];
    await kubectl([...remove, "clusterrolebinding,clusterrole", "csi-cert-operator"]);
    await kubectl([...remove, "-n", system, "serviceaccount", "cert-operator"]);
    await kubectl([...remove, "-n", system, "configmap", "csi-cert-denials"]);
  });
  // The one that the port is forwarded to is the one that knows the certificate.
  await scale(1);
  const printed = await runCommands(shown.serial, metadata.uid);
  const answers = printed.slice(printed.indexOf("{")).split(/^(?=\{$)/m)
    .map((text) => JSON.parse(text.slice(0, text.lastIndexOf("}") + 1)));
  const [revoked, single] = answers.reverse();
  assert.equal(single.certificate.serialNumber, shown.serial);
  assert.equal(single.certificate.commonName, "watched.default.svc.cluster.local");
  assert.ok(answers.slice(2).some(({ serialNumber }) => serialNumber === shown.serial));
  assert.equal(revoked.podUid, metadata.uid);
  const { validToDate } = await pod.certificate();
  assert.ok(new Date(revoked.validUntil) >= validToDate);
  const { data } = await getJson("configmap", "csi-cert-denials", "-n", system);
  assert.ok(data["denials.json"].includes(metadata.uid));
});
