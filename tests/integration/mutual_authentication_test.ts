import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { createCa } from "../../src/service/admin/init_ca.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { fixedIdentity } from "../../src/shared/grpc_client/client_identity.ts";
import { refusal } from "../support/refusal.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { exportPrivateKey, generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { serverName } from "../../src/shared/text/product_names.ts";
import { composeService } from "../support/composed_service.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { TestCa, type TestPair } from "../../scripts/support/test_ca.ts";

const wait = { timeoutMs: 30_000 };
const node = "spiffe://cluster.local/csi-cert-node/worker-1";

/** The service with AUTHENTICATION=mtls and its files, and callers with certificates of their own. */
async function open() {
  const clock = new FakeClock(Temporal.Instant.fromEpochMilliseconds(Date.now()));
  await using stack = new AsyncDisposableStack();
  const nodes = await TestCa.create("Nodes");
  const { path } = stack.use(await temporaryFolder());
  const ca = await createCa(
    { algorithm: "ecdsa-p256", days: 10, commonName: "Test CA" },
    clock.now(),
  );
  const variables = {
    AUTHENTICATION: "mtls",
    CLIENT_CA_FILE: `${path}/client-ca.crt`,
    CA_CERT_FILE: `${path}/tls.crt`,
    CA_KEY_FILE: `${path}/tls.key`,
  };
  await Deno.writeTextFile(variables.CLIENT_CA_FILE, nodes.certificatePem);
  await Deno.writeTextFile(variables.CA_CERT_FILE, ca.certificatePem);
  await Deno.writeTextFile(variables.CA_KEY_FILE, ca.privateKeyPem);
  const service = stack.use(await composeService(variables, clock));
  const kept = stack.move();
  return {
    ...service,
    nodes,
    clientCaFile: variables.CLIENT_CA_FILE,
    as: (identity: TestPair | undefined) =>
      kept.use(connect(CertificateService, {
        address: service.address,
        trustBundle: () => ca.certificatePem,
        serverName,
        clientIdentity: identity && fixedIdentity(identity),
      })),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function request() {
  const keys = await generateKeyPair("ecdsa-p256");
  const message = {
    certificateRequest: await createCertificateRequest(keys),
    pod: { namespace: "shop", name: "web-0", uid: "uid-1", serviceAccount: "web" },
    volume: { id: "csi-1", name: "certs", attributes: {} },
  };
  return { message, privateKeyPem: await exportPrivateKey(keys.privateKey) };
}

Deno.test("a node's certificate authenticates its node, and nothing else opens a connection", async () => {
  await using service = await open();
  const { message, privateKeyPem } = await request();
  const caller = service.as(await service.nodes.issue(node));
  const { certificateChain } = await caller.issueCertificate(message, wait);
  const listed = (await Array.fromAsync(service.inventory.pages())).flat();
  assert.deepEqual(listed.map((entry) => entry.node), ["worker-1"]);

  const certificatePem = certificateChain.map((der) => encodePem("CERTIFICATE", der)).join("");
  const otherCa = await TestCa.create("Other CA");
  const others: [string, TestPair | undefined, string][] = [
    ["a pod's certificate, put forward as a node's", { certificatePem, privateKeyPem }, "tls"],
    ["another CA's certificate", await otherCa.issue(node), "tls"],
    ["no certificate", undefined, "tls"],
    // The right CA's certificates pass TLS, and the gate refuses them.
    ["no node's", await service.nodes.issue("spiffe://cluster.local/ns/shop/sa/web"), "peer"],
    ["two nodes'", await service.nodes.issue(node, node.replace("-1", "-2")), "peer"],
  ];
  for (const [shown, pair, reason] of others) {
    const before = service.refusedConnections(reason);
    const { code } = await refusal(service.as(pair).issueCertificate(message, wait));
    assert.equal(code, status.UNAVAILABLE, shown);
    assert.ok(service.refusedConnections(reason) > before, shown);
  }
  assert.equal(service.inventory.size, 1);
});

Deno.test("a changed CLIENT_CA_FILE applies to the next connection, and ends those of the removed CA", async () => {
  await using service = await open();
  const next = await TestCa.create("Next nodes");
  const { message } = await request();
  const before = service.as(await next.issue(node));
  assert.equal((await refusal(before.issueCertificate(message, wait))).code, status.UNAVAILABLE);
  const connected = service.as(await service.nodes.issue(node));
  await connected.issueCertificate(message, wait);
  await Deno.writeTextFile(service.clientCaFile, next.certificatePem);
  await service.clock.advance({ seconds: 10 });
  await service.clock.until(() => service.refusedConnections("rejected") === 1);
  assert.equal((await refusal(connected.issueCertificate(message, wait))).code, status.UNAVAILABLE);
  const after = service.as(await next.issue(node));
  await after.issueCertificate(message, wait);
  const old = service.as(await service.nodes.issue(node));
  assert.equal((await refusal(old.issueCertificate(message, wait))).code, status.UNAVAILABLE);
});
