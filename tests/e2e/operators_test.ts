import assert from "node:assert/strict";
import {
  accountOf,
  auditEvents,
  covers,
  refusedCalls,
  rightsGranted,
  rightsUsed,
  rightText,
} from "./support/audit.ts";
import { system } from "../../scripts/support/install.ts";
import { getJson, kubectl, tryKubectl, until } from "../../scripts/support/kubectl.ts";
import { readRevocation } from "../support/revocation_output.ts";
import { administer, listed, replicas } from "./support/operators.ts";
import { Pod } from "./support/pods.ts";

const anyReplica = "deploy/cert-service";

Deno.test("an administrator lists, shows and revokes with kubectl exec, and a revoked pod is not renewed", async () => {
  await using pod = await Pod.start({ name: "accused", attributes: { duration: "30s" } });
  const { metadata, spec } = await pod.object();
  const { serialNumber } = await pod.certificate();

  // Each replica asks the other, over the addresses of the headless Service.
  const pods = await replicas();
  assert.equal(pods.length, 2);
  const entries = await Promise.all(pods.map((replica) => listed(replica, metadata.uid)));
  const [[entry, ...more] = [], again] = entries;
  assert.ok(entry !== undefined && more.length === 0);
  assert.deepEqual(again, [entry]);
  // As numbers: one of the two may write zeros in front.
  assert.equal(BigInt(`0x${entry.serialNumber}`), BigInt(`0x${serialNumber}`));
  assert.deepEqual(entry.dnsNames, ["accused.default.svc.cluster.local", "accused"]);
  assert.equal(entry.node, spec.nodeName);
  const single = JSON.parse(await administer(anyReplica, "get", entry.serialNumber, "-o", "json"));
  assert.equal(single.podUid, metadata.uid);
  assert.equal(single.commonName, "accused.default.svc.cluster.local");

  const target = ["--pod-uid", metadata.uid];
  const printed = await administer(anyReplica, "revoke", ...target, "--reason", "a test");
  const { validUntil } = readRevocation(printed);
  const last = await pod.certificate();
  assert.ok(validUntil >= last.validToDate, printed);
  const { data } = await getJson("configmap", "csi-cert-denials", "-n", system);
  assert.ok(data["denials.json"].includes(metadata.uid));
  await until(
    "the last certificate has expired",
    () => Promise.resolve(Date.now() > last.validToDate.getTime()),
  );
  assert.equal((await pod.certificate()).serialNumber, last.serialNumber);

  await pod.remove();
  await using successor = await Pod.start({ name: "accused" });
  assert.ok(await successor.holdsPair());
});

Deno.test("a second revocation is added to the list, and both are written again when the list is deleted", async () => {
  for (const digit of [1, 2]) {
    const uid = `11111111-0000-4000-8000-00000000000${digit}`;
    await administer(anyReplica, "revoke", "--pod-uid", uid, "--reason", "a test");
  }
  const read = async (): Promise<string> =>
    (await getJson("configmap", "csi-cert-denials", "-n", system)).data["denials.json"];
  const written = await read();
  for (const digit of [1, 2]) {
    assert.ok(written.includes(`11111111-0000-4000-8000-00000000000${digit}`));
  }
  await kubectl(["-n", system, "delete", "configmap", "csi-cert-denials"]);
  const again = await until("it is written again", () => read().catch(() => undefined));
  assert.deepEqual(uidsOf(again), uidsOf(written));
});

function uidsOf(text: string): string[] {
  const { denials } = JSON.parse(text);
  return denials.map(({ podUid }: { podUid: string }) => podUid).sort();
}

Deno.test("an account that may not execute in the service's pods cannot administer; the driver's account may not", async () => {
  const [replica = ""] = await replicas();
  for (const account of ["default:default", `${system}:csi-cert-driver`]) {
    const as = `--as=system:serviceaccount:${account}`;
    const command = ["exec", replica, "--", "cert-service", "list"];
    const { success, stderr } = await tryKubectl(["-n", system, as, ...command]);
    assert.ok(!success);
    assert.match(stderr, /forbidden/i);
  }
});

Deno.test("a trust bundle that is deleted or damaged is written again, and volumes keep their anchors", async () => {
  const read = async (): Promise<{ metadata: { uid: string }; data: Record<string, string> }> =>
    await getJson("configmap", "csi-cert-trust-bundle", "-n", system);
  await using pod = await Pod.start({ name: "believer" });
  const before = await read();
  await kubectl(["-n", system, "delete", "configmap", "csi-cert-trust-bundle"]);
  const after = await until("there is another one", () => read().catch(() => undefined));
  assert.notEqual(after.metadata.uid, before.metadata.uid);
  assert.equal(after.data["ca.crt"], before.data["ca.crt"]);
  const damage = ["patch", "configmap", "csi-cert-trust-bundle", "--type=merge", "--patch"];
  await kubectl(["-n", system, ...damage, '{"data":{"ca.crt":"damaged"}}']);
  await until(
    "it is repaired",
    async () => (await read()).data["ca.crt"] === before.data["ca.crt"],
  );
  assert.ok(await pod.holdsPair());
});

Deno.test("each right that the manifest grants was used, by the account that has it, and no call was refused", async () => {
  const accounts = ["cert-service", "csi-cert-driver"];
  const granted = await rightsGranted(accounts);
  assert.ok(granted.length > 0);
  const events = await auditEvents();
  const used = events.flatMap(rightsUsed);
  const unused = granted.filter((right) => !used.some((one) => covers(right, one)));
  assert.deepEqual(unused.map(rightText), [], "granted, and never used");
  assert.deepEqual(await refusedCalls(), []);
  // Nothing was allowed on other grounds, but for the keys of tokens, which every account may read.
  const bindings = /RoleBinding "(cert-service\/csi-cert-system|csi-cert-driver:cert-service)"/;
  const otherwise = events.filter(({ annotations, requestURI }) =>
    requestURI !== "/openid/v1/jwks" &&
    !bindings.test(annotations?.["authorization.k8s.io/reason"] ?? "")
  );
  assert.deepEqual(otherwise.map(({ verb, requestURI }) => `${verb} ${requestURI}`), []);
  // The driver's account has no right and made no call.
  assert.deepEqual(granted.filter(({ account }) => account === "csi-cert-driver"), []);
  assert.deepEqual([...new Set(events.map(accountOf))], ["cert-service"]);
  const counts = granted.map((right) =>
    `${used.filter((one) => covers(right, one)).length} × ${rightText(right)}`
  );
  console.log(counts.join("\n"));
});
