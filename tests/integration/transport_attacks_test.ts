import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { allowAnonymous } from "../../src/service/access/authenticator.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { registerService, serveTcp } from "../../src/shared/grpc_server/server.ts";
import { certificateService } from "../../src/service/api/certificate_service.ts";
import { exportPrivateKey, generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { openService, refusal, request, serverName, wait } from "./attack_fixture.ts";

Deno.test("a server with a pod's certificate, for whatever name, gets nothing from a driver", async () => {
  await using service = await openService();
  const implementation = certificateService({ ...service, authenticator: allowAnonymous });
  const names = ["cert-service", "cert-service.csi-cert-system.svc.cluster.local"];
  for (const name of names) {
    const keys = await generateKeyPair("ecdsa-p256");
    const signed = await service.signer.sign({
      publicKey: keys.publicKey,
      names: {
        commonName: name,
        organizationalUnits: [],
        dnsNames: [name],
        ipAddresses: [],
        uris: [],
      },
      validity: Temporal.Duration.from({ hours: 1 }),
      extendedKeyUsage: ["serverAuth", "clientAuth"],
    });
    assert(signed.kind === "signed");
    const pair = {
      certificatePem: signed.chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
      privateKeyPem: await exportPrivateKey(keys.privateKey),
    };
    let calls = 0;
    let tokens = 0;
    await using impostor = await serveTcp("127.0.0.1:0", {
      services: [registerService(CertificateService, implementation)],
      onCall: () => void calls++,
      graceMs: 100,
      tls: { current: () => pair, onChange: () => ({ [Symbol.dispose]: () => {} }) },
    });
    using client = connect(CertificateService, {
      address: `https://127.0.0.1:${impostor.port}`,
      trustBundle: () => service.anchorPem,
      serverName,
      token: () => Promise.resolve(`token ${tokens++}`),
    });
    const error = await refusal(client.issueCertificate(await request(), { timeoutMs: 3_000 }));
    assert.equal(error.code, status.UNAVAILABLE);
    assert.deepEqual([calls, tokens], [0, 0], name);
  }
});

Deno.test("plaintext to the service's TLS port is not answered, and carries no token", async () => {
  await using service = await openService();
  const address = `http://127.0.0.1:${service.port}`;
  const token = () => Promise.resolve("token");
  assert.throws(() => connect(CertificateService, { address, token }), /https only/);
  using client = connect(CertificateService, { address });
  const error = await refusal(client.issueCertificate(await request(), { timeoutMs: 3_000 }));
  assert.equal(error.code, status.UNAVAILABLE);
  assert.equal(service.api.calls.length, 0);
});

Deno.test("a token of 100 kB ends at the transport, and other callers do not notice", async () => {
  await using service = await openService();
  service.put();
  const error = await refusal(
    service.as("x".repeat(100_000)).issueCertificate(await request(), { timeoutMs: 3_000 }),
  );
  assert.equal(error.code, status.INTERNAL);
  assert.equal(service.api.calls.length, 0);
  await service.driver.issueCertificate(await request(), wait);
});

Deno.test("a certificate costs the API server two calls, and one where the token was seen within a minute", async () => {
  await using service = await openService();
  service.put();
  const asked = await request();
  const spent = async (work: () => Promise<unknown>) => {
    const before = service.api.calls.length;
    await work();
    return service.api.calls.slice(before).map(({ text }) => text);
  };
  const review = "create tokenreviews";
  const get = "get pods shop/web-0";
  const issue = () => service.driver.issueCertificate(asked, wait);
  const renew = () =>
    service.driver.renewCertificate({ ...asked, predecessorSerialNumber: "a1" }, wait);
  assert.deepEqual(await spent(issue), [review, get]);
  assert.deepEqual(await spent(issue), [get]);
  assert.deepEqual(await spent(renew), [get]);
  await service.clock.advance({ minutes: 2 });
  assert.deepEqual(await spent(renew), [review, get]);
  const many = () => Promise.all(Array.from({ length: 20 }, issue));
  assert.deepEqual(await spent(many), new Array(20).fill(get));
});
