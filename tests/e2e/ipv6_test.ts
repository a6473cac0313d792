/** The product on a cluster that has IPv6 alone: its node's, pods' and Services' addresses. */
import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { readyEndpoint, system } from "../../scripts/support/install.ts";
import { getJson, kubectl } from "../../scripts/support/kubectl.ts";
import { formatAddress } from "../../src/shared/text/network_address.ts";
import { onNode } from "./support/node.ts";
import { Pod } from "./support/pods.ts";

/** The address of a workload's pod. */
async function podAddress(app: string): Promise<string> {
  const { items } = await getJson("pods", "-n", system, "-l", `app=${app}`);
  const [{ status }] = items;
  assert.deepEqual(status.podIPs, [{ ip: status.podIP }]);
  return status.podIP;
}

Deno.test("the node, its Services and the product's pods have IPv6 addresses and no other", async () => {
  assert.equal(await onNode("ip", "-4", "address", "show", "scope", "global"), "");
  const { items } = await getJson("services", "--all-namespaces");
  for (const { spec } of items) {
    assert.deepEqual(spec.ipFamilies, ["IPv6"]);
    assert.ok(spec.clusterIPs.every((ip: string) => ip === "None" || isIPv6(ip)));
  }
  for (const app of ["cert-service", "csi-cert-driver"]) assert.ok(isIPv6(await podAddress(app)));
  assert.ok(isIPv6((await readyEndpoint(system, "cert-service", "grpc"))?.hostname ?? ""));
});

Deno.test("both programs listen on every address and answer health checks over IPv6", async () => {
  for (const app of ["cert-service", "csi-cert-driver"]) {
    const logs = await kubectl(["logs", "-n", system, "-l", `app=${app}`, "--tail=-1"]);
    assert.match(logs, /\[::\]:9808/);
    const at = formatAddress({ hostname: await podAddress(app), port: 9808 });
    for (const path of ["livez", "readyz"]) {
      const response = await fetch(`http://${at}/${path}`);
      assert.equal(response.status, 200, await response.text());
    }
  }
});

Deno.test("a pod's certificate is issued and renewed over IPv6", async () => {
  await using pod = await Pod.start({ name: "six", attributes: { duration: "10s" } });
  const { status } = await pod.object();
  assert.ok(isIPv6(status.podIP));
  assert.ok(await pod.holdsPair());
  const { serialNumber } = await pod.certificate();
  await pod.renewed(serialNumber);
  assert.ok(await pod.holdsPair());
});
