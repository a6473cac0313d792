import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { allowAnonymous } from "../../src/service/access/authenticator.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { registerService, serveTcp } from "../../src/shared/grpc_server/server.ts";
import { certificateService } from "../../src/service/api/certificate_service.ts";
import { AttestationEndpoint } from "../../src/service/attestation/attestation_endpoint.ts";
import { AttestationLimits } from "../../src/service/attestation/attestation_limits.ts";
import { attestDriver } from "../support/attested_driver.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { refusal } from "../support/refusal.ts";
import { openService, podPair, request } from "./attack_fixture.ts";

Deno.test("a server with a pod's certificate receives neither a token nor a call from a driver", async () => {
  await using service = await openService();
  const { api, clock, trustBundlePem } = service;
  const names = ["cert-service", "cert-service.csi-cert-system.svc.cluster.local"];
  for (const name of names) {
    const pair = await podPair(service, { dnsNames: [name] });
    const identity = { current: () => pair, onChange: () => ({ [Symbol.dispose]: () => {} }) };
    let [calls, tokens] = [0, 0];
    const implementation = certificateService({ ...service, authenticator: allowAnonymous });
    await using impostor = await serveTcp({ hostname: "127.0.0.1", port: 0 }, {
      services: [registerService(CertificateService, implementation)],
      onCall: () => void calls++,
      graceMs: 100,
      tls: identity,
    });
    await using endpoint = new AttestationEndpoint({
      address: { hostname: "127.0.0.1", port: 0 },
      identity,
      clock,
      limits: new AttestationLimits(clock),
      attest: () => {
        tokens++;
        return Promise.resolve({ kind: "denied", reason: "caught" });
      },
    });
    await using folder = await temporaryFolder();
    const address = `https://127.0.0.1:${impostor.port}`;
    const target = { api, address, trustBundlePem, folder: folder.path };
    const attestationPort = endpoint.port;
    using lured = await attestDriver({ ...target, attestationPort }, "node-3", clock);
    assert.match(lured.identity?.problem ?? "", /its certificate bears another name/);
    // Attested at the true service, and connected to the impostor after that.
    const { attestationPort: trueOne } = service;
    using driver = await attestDriver({ ...target, attestationPort: trueOne }, "node-3", clock);
    assert.equal(driver.identity?.problem, undefined);
    const issuing = driver.client.issueCertificate(await request(), { timeoutMs: 3_000 });
    assert.equal((await refusal(issuing)).code, status.UNAVAILABLE);
    assert.deepEqual([calls, tokens], [0, 0], name);
  }
});

Deno.test("plaintext to the service's TLS port is not answered", async () => {
  await using service = await openService();
  const before = service.api.calls.length;
  using client = connect(CertificateService, { address: service.address.replace("https", "http") });
  const error = await refusal(client.issueCertificate(await request(), { timeoutMs: 3_000 }));
  assert.equal(error.code, status.UNAVAILABLE);
  assert.equal(service.api.calls.length, before);
});
