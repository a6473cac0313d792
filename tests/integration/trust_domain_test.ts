import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { serverName } from "../../src/shared/text/product_names.ts";
import { readCertificates } from "../../src/shared/x509/certificate.ts";
import { attestDriver } from "../support/attested_driver.ts";
import { composeService } from "../support/composed_service.ts";
import { fixedIdentity } from "../../src/shared/grpc_client/client_identity.ts";
import { refusal } from "../support/refusal.ts";
import { leafOf, openService, request, type ServiceClient, wait } from "./attack_fixture.ts";

Deno.test("the SPIFFE IDs of nodes and pods are in TRUST_DOMAIN, and nodes attest again when it changes", async () => {
  await using service = await openService({ TRUST_DOMAIN: "prod.example" });
  const pair = service.identity?.current();
  assert(pair !== undefined);
  const [leaf] = readCertificates(pair.certificatePem) ?? [];
  assert.deepEqual(leaf?.uris, ["spiffe://prod.example/csi-cert-node/node-1"]);
  const issueWith = async (client: ServiceClient, uri: string) => {
    service.put({ attributes: { "uri-sans": uri } });
    return await client.issueCertificate(await request(), wait);
  };
  const [own, former] = ["prod.example", "cluster.local"]
    .map((domain) => `spiffe://${domain}/ns/shop/sa/web`);
  assert(own !== undefined && former !== undefined);
  assert.deepEqual(leafOf(await issueWith(service.driver, own)).uris, [own]);
  assert.match(
    (await refusal(issueWith(service.driver, former))).message,
    /is not the pod's own "spiffe:\/\/prod\.example\/ns\/shop\/sa\/web"/,
  );

  // The same CA Secret and cluster: what the service is after a restart with another TRUST_DOMAIN.
  const variables = { ...service.variables, ADMIN_SOCKET: "", TRUST_DOMAIN: "" };
  await using changed = await composeService(variables, service.clock);
  const { address, attestationPort } = changed;
  await using refused = connect(CertificateService, {
    address,
    serverName,
    trustBundle: () => service.trustBundlePem,
    clientIdentity: fixedIdentity(pair),
  });
  assert.equal((await refusal(issueWith(refused, former))).code, status.UNAVAILABLE);
  // The node CA is derived from the trust domain too, so that the handshake fails.
  assert.equal(changed.refusedConnections("tls"), 1);
  const target = { ...service.target, address, attestationPort };
  await using driver = await attestDriver(target, "node-1", service.clock);
  assert.deepEqual(leafOf(await issueWith(driver.client, former)).uris, [former]);
});
