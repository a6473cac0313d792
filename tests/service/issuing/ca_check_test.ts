import assert from "node:assert/strict";
import { composeCaCheck } from "../../../src/service/issuing/ca_check.ts";
import { serverName } from "../../../src/shared/text/product_names.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { forge, now } from "../../support/certificate_forge.ts";

const config = { servingName: serverName, clusterDomain: "cluster.local" };

function checkWith(caPem: () => Promise<string>) {
  const parts = { clock: new FakeClock(now), cluster: { caPem }, clients: undefined };
  return composeCaCheck(config, parts);
}

Deno.test("the cluster's own CA, one with its key and one below it may not sign for pods", async () => {
  const cluster = await forge({ commonName: "kubernetes" });
  const check = checkWith(() => Promise.resolve(cluster.certificatePem));
  const same = { chain: [cluster.certificate], roots: [cluster.certificate] };
  assert.match(
    await check(same) ?? "",
    /^it has the key of the certificate "CN=kubernetes", a CA of the cluster itself: the API server would/,
  );
  const { certificate: renamed } = await forge({ commonName: "pods", keys: cluster.keys });
  assert.match(await check({ chain: [renamed], roots: [renamed] }) ?? "", /^it has the key of/);
  const { certificate: below } = await forge({ commonName: "below", issuer: cluster });
  assert.match(
    await check({ chain: [below], roots: [] }) ?? "",
    /^it is below the certificate "CN=kubernetes", a CA of the cluster itself/,
  );
  const { certificate: other } = await forge({ commonName: "kubernetes" });
  assert.equal(await check({ chain: [other], roots: [other] }), undefined);
});

Deno.test("a CA is not used where the cluster's own CA cannot be read", async () => {
  const { certificate } = await forge();
  const check = checkWith(() => Promise.reject(new Error("ca.crt is not there")));
  assert.equal(
    await check({ chain: [certificate], roots: [certificate] }),
    "it cannot be compared with the cluster's own CA: ca.crt is not there",
  );
});
