import assert from "node:assert/strict";
import { Pod } from "./support/pods.ts";
import { givePolicy } from "./support/policy.ts";

Deno.test("a policy grants what was refused, and the pod starts when it is created again", async () => {
  const options = { name: "bank", attributes: { "dns-names": "bank.example.com" } };
  await using refused = await Pod.create(options);
  await refused.failedMount(/the policy for namespace default does not allow it/);
  const rules = "rules: [{ namespaces: [default], dnsNames: [bank.example.com] }]";
  await using _policy = await givePolicy(rules);
  // The refusal was final for that pod: the kubelet unpublishes nothing and removes the pod.
  await refused.remove();
  await using pod = await Pod.start(options);
  assert.match((await pod.certificate()).subjectAltName ?? "", /DNS:bank\.example\.com/);
});
