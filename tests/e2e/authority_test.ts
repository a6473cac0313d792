import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { parseAllDocuments } from "yaml";
import { initCa, rolledOut, system } from "./support/install.ts";
import { apply, getJson, kubectl, until } from "./support/kubectl.ts";
import { onNode } from "./support/node.ts";
import { Pod } from "./support/pods.ts";

/** Every CA certificate that a pod is told to trust. */
async function anchors(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(`${path}/ca.crt`);
  return [...text.matchAll(/-----BEGIN[^]*?END CERTIFICATE-----/g)].map(([pem]) => pem);
}

/** Whether the owner of one volume believes the owner of the other, as in a handshake. */
async function believes(verifier: string, shown: string): Promise<boolean> {
  const [trusted, chain] = await Promise.all([
    Deno.realPath(`${verifier}/ca.crt`),
    Deno.realPath(`${shown}/tls.crt`),
  ]);
  return await onNode("openssl", "verify", "-CAfile", trusted, "-untrusted", chain, chain)
    .then(() => true, (error) => {
      // Swapped between the two steps.
      if (/No such file/.test(String(error))) return true;
      console.log(String(error));
      return false;
    });
}

Deno.test("a new CA takes over while pods believe each other at every moment", async () => {
  await using first = await Pod.start({ name: "first", attributes: { duration: "20s" } });
  await using second = await Pod.start({ name: "second", attributes: { duration: "25s" } });
  const [one, other] = [await first.targetPath(), await second.targetPath()];
  const [before] = await anchors(one);
  assert.ok(before);
  // Of what init-ca prints, the Secret only: the bundle is the service's by now.
  const objects = parseAllDocuments(await initCa()).map((document) => document.toJS());
  await apply(objects.find(({ kind }) => kind === "Secret"));
  const seen = new Set<number>();
  await until("both pods have leaves by the new CA", async () => {
    assert.ok(await believes(one, other) && await believes(other, one));
    const trusted = await anchors(one);
    seen.add(trusted.length);
    const added = trusted.find((pem) => pem !== before);
    if (!added) return false;
    const authority = new X509Certificate(added);
    const leaves = await Promise.all([first.certificate(), second.certificate()]);
    return leaves.every((leaf) => leaf.verify(authority.publicKey));
  }, 180_000);
  assert.ok(seen.has(2), "both CAs are trusted for a time");
  await using later = await Pod.start({ name: "later" });
  assert.ok(await believes(one, await later.targetPath()));
});

Deno.test("a policy grants what was refused, and the pod that is made anew starts", async () => {
  const options = { name: "bank", attributes: { "dns-names": "bank.example.com" } };
  {
    await using refused = await Pod.create(options);
    await until(
      "a FailedMount event",
      async () => (await refused.events()).find((event) => /^FailedMount:.*policy/.test(event)),
    );
  }
  await apply({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "cert-service-policy", namespace: system },
    data: { "policy.yaml": "rules: [{ namespaces: [default], dnsNames: [bank.example.com] }]" },
  });
  const variable = "POLICY_FILE=/etc/cert-service/policy/policy.yaml";
  await kubectl(["-n", system, "set", "env", "deployment/cert-service", variable]);
  await rolledOut("deployment/cert-service");
  await using pod = await Pod.start(options);
  assert.match((await pod.certificate()).subjectAltName ?? "", /DNS:bank\.example\.com/);
  await kubectl(["-n", system, "set", "env", "deployment/cert-service", "POLICY_FILE-"]);
  await rolledOut("deployment/cert-service");
  await kubectl(["-n", system, "delete", "configmap", "cert-service-policy"]);
});

Deno.test("the API server refused the service nothing, and never heard of the driver", async () => {
  const log = await Deno.readTextFile(`${Deno.env.get("E2E_FOLDER")}/logs/audit.jsonl`);
  const calls = log.trim().split("\n").map((line) => JSON.parse(line));
  const accounts = new Set(calls.map(({ user }) => user.username.split(":").at(-1)));
  assert.deepEqual([...accounts], ["cert-service"]);
  const refused = calls.filter(({ responseStatus }) => responseStatus?.code === 403);
  assert.deepEqual(refused.map(({ verb, requestURI }) => `${verb} ${requestURI}`), []);
  const { items } = await getJson("pods", "-n", system, "-l", "app=cert-service");
  const used = new Map<string, number>();
  for (const { verb, objectRef } of calls) {
    const call = `${verb} ${objectRef?.resource}`;
    used.set(call, (used.get(call) ?? 0) + 1);
  }
  console.log(`${items.length} replicas asked: ${[...used].map((each) => each.join(" ")).sort()}`);
});
