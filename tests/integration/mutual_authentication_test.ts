import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { ClientCas } from "../../src/service/access/client_cas.ts";
import { mutualTlsIdentity } from "../../src/service/api/tls_identity.ts";
import { ClientCertificateAuthenticator } from "../../src/service/access/client_certificate_authenticator.ts";
import { NodeCertificateVerifier } from "../../src/service/access/node_certificate_verifier.ts";
import { ServingCertificate } from "../../src/service/issuing/serving_certificate.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { fixedIdentity } from "../../src/shared/grpc_client/client_identity.ts";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { registerService, serveTcp } from "../../src/shared/grpc_server/server.ts";
import { certificateService } from "../../src/service/api/certificate_service.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { exportPrivateKey, generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { makeCa, openAuthority } from "../support/service_fixture.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { TestCa, type TestPair } from "../../scripts/support/test_ca.ts";

const wait = { timeoutMs: 5_000 };

/** The service with AUTHENTICATION=mtls on a TLS socket, and callers with certificates of their own. */
async function open() {
  const clock = new FakeClock(Temporal.Instant.fromEpochMilliseconds(Date.now()));
  await using stack = new AsyncDisposableStack();
  const nodes = await TestCa.create("Nodes");
  const authority = stack.use(
    await openAuthority({ clock, material: await makeCa({}, clock.now()) }),
  );
  const serving = stack.use(await ServingCertificate.start(authority));
  const file = { path: "client-ca.crt", text: nodes.certificatePem };
  const clients = stack.use(
    await ClientCas.open({
      ...authority,
      file: { path: file.path, read: () => Promise.resolve(file.text) },
    }),
  );
  const verifier = new NodeCertificateVerifier({
    clientCas: clients,
    trustDomain: "cluster.local",
    statesPodUid: false,
    clock,
  });
  const authenticator = new ClientCertificateAuthenticator(verifier);
  const implementation = certificateService({ ...authority, authenticator });
  const server = stack.use(
    await serveTcp("127.0.0.1:0", {
      services: [registerService(CertificateService, implementation)],
      graceMs: 100,
      tls: mutualTlsIdentity(serving, clients),
      peers: verifier,
      clock,
    }),
  );
  const anchors = authority.authority.anchors;
  const trustBundle = anchors.map(({ der }) => encodePem("CERTIFICATE", der)).join("");
  const kept = stack.move();
  return {
    ...{ clock, nodes, file, inventory: authority.inventory },
    as: (identity: TestPair | undefined) =>
      kept.use(connect(CertificateService, {
        address: `https://127.0.0.1:${server.port}`,
        trustBundle: () => trustBundle,
        serverName: "cert-service.csi-cert-driver.internal",
        ...(identity ? { clientIdentity: fixedIdentity(identity) } : {}),
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

async function codeOf(call: Promise<unknown>): Promise<status | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    assert(error instanceof RpcError);
    return error.code;
  }
}

Deno.test("a node's certificate speaks for its node, and nothing else does", async () => {
  await using service = await open();
  const node = "spiffe://cluster.local/csi-cert-node/worker-1";
  const { message, privateKeyPem } = await request();
  const caller = service.as(await service.nodes.issue(node));
  const { certificateChain } = await caller.issueCertificate(message, wait);
  assert.deepEqual([...service.inventory.all()].map((entry) => entry.node), ["worker-1"]);

  // A pod's certificate, put forward as a node's.
  const certificatePem = certificateChain.map((der) => encodePem("CERTIFICATE", der)).join("");
  const asPod = service.as({ certificatePem, privateKeyPem });
  assert.equal(await codeOf(asPod.issueCertificate(message, wait)), status.UNAVAILABLE);
  // Another CA's, and none.
  const stranger = await TestCa.create("Strangers");
  const asStranger = service.as(await stranger.issue(node));
  assert.equal(await codeOf(asStranger.issueCertificate(message, wait)), status.UNAVAILABLE);
  const asNobody = service.as(undefined);
  assert.equal(await codeOf(asNobody.issueCertificate(message, wait)), status.UNAVAILABLE);
  // The right CA's, that names no node: the gate refuses it before a call.
  const asOther = service.as(await service.nodes.issue("spiffe://cluster.local/ns/shop/sa/web"));
  assert.equal(await codeOf(asOther.issueCertificate(message, wait)), status.UNAVAILABLE);
  assert.equal(service.inventory.size, 1);
});

Deno.test("a changed CLIENT_CA_FILE holds for the next connection", async () => {
  await using service = await open();
  const next = await TestCa.create("Next nodes");
  const node = "spiffe://cluster.local/csi-cert-node/worker-1";
  const { message } = await request();
  const before = service.as(await next.issue(node));
  assert.equal(await codeOf(before.issueCertificate(message, wait)), status.UNAVAILABLE);
  service.file.text = next.certificatePem;
  await service.clock.advance({ seconds: 10 });
  const after = service.as(await next.issue(node));
  assert.equal(await codeOf(after.issueCertificate(message, wait)), undefined);
  const old = service.as(await service.nodes.issue(node));
  assert.equal(await codeOf(old.issueCertificate(message, wait)), status.UNAVAILABLE);
});
