import assert from "node:assert/strict";
import { system } from "../../scripts/support/install.ts";
import { getJson, kubectl, until } from "../../scripts/support/kubectl.ts";
import { scale } from "./support/operators.ts";
import { readRevocation } from "../support/revocation_output.ts";
import { Pod } from "./support/pods.ts";
import { documentedBlock } from "./support/documentation.ts";

/** What `csi-driver status` prints of a pod, from the driver's own pod. */
async function status(pod: string): Promise<{ serial: string; state: string } | undefined> {
  const inside = ["exec", "daemonset/csi-cert-driver", "--", "/usr/local/bin/csi-driver", "status"];
  const lines = (await kubectl(["-n", system, ...inside])).split("\n");
  const cells = lines.map((line) => line.split(/\s{2,}/)).find(([name]) => name === pod);
  return cells && { serial: cells[1] ?? "", state: cells[4] ?? "" };
}

/** Runs the documented commands on this pod's certificate; returns what each of them printed. */
async function runCommands(serial: string, podUid: string): Promise<string[]> {
  const block = documentedBlock("administration");
  const [preparation, commands] = [
    block.slice(0, block.indexOf("\nservice list")),
    block.slice(block.indexOf("\nservice list")).trim().split("\n"),
  ];
  const ours = commands.map((command) =>
    command.replace("--namespace shop", "--namespace default")
      .replace(/(service get )[0-9a-f]+/, `$1${serial}`)
      .replace(/(--pod-uid )[0-9a-f-]+/, `$1${podUid}`)
  );
  const script = [
    "set -e",
    preparation,
    // Drivers report to a service that took another's place what their volumes hold.
    `until service list | grep -q ${serial}; do sleep 0.2; done`,
    ours.join("\necho ----\n"),
  ].join("\n");
  const { success, stdout, stderr } = await new Deno.Command("timeout", {
    args: ["60", "bash", "-c", script],
    stdin: "null",
  }).output();
  const [out = "", words] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.ok(success, `${out}\n${words}`);
  return out.split("----\n");
}

Deno.test("the documented commands for administrators work word for word, with kubectl exec", async () => {
  await using pod = await Pod.start({ name: "watched" });
  const { metadata } = await pod.object();
  const shown = await until("csi-driver status shows the pod", () => status("default/watched"));
  assert.equal(shown.state, "ok");
  await using undo = new AsyncDisposableStack();
  undo.defer(() => scale(2));
  // The one that the commands reach is the one that knows the certificate.
  await scale(1);
  const [list, single, revoked, ...more] = await runCommands(shown.serial, metadata.uid);
  assert.deepEqual(more, []);
  assert.match(list ?? "", new RegExp(`^default/watched +\\S+ +${shown.serial} `, "m"));
  assert.match(single ?? "", new RegExp(`^serial number +${shown.serial}$`, "m"));
  assert.match(single ?? "", /^common name +watched\.default\.svc\.cluster\.local$/m);
  const { podUid, validUntil } = readRevocation(revoked ?? "");
  assert.equal(podUid, metadata.uid);
  const { validToDate } = await pod.certificate();
  assert.ok(validUntil >= validToDate);
  const { data } = await getJson("configmap", "csi-cert-denials", "-n", system);
  assert.ok(data["denials.json"].includes(metadata.uid));
});
