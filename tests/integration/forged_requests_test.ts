import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { decodePem } from "../../src/shared/crypto/pem.ts";
import { testWith, type Workbench } from "../support/workbench.ts";
import { refusal } from "../support/refusal.ts";
import { leafOf, openService, request, wait } from "./attack_fixture.ts";

async function opensslRequest(bench: Workbench, options: string[]): Promise<Uint8Array> {
  const files = ["-keyout", "key", "-out", "csr", "-nodes"];
  await bench.openssl(
    "req",
    "-new",
    "-subj",
    "/CN=api.bank.svc.cluster.local",
    ...files,
    ...options,
  );
  const [der] = decodePem("CERTIFICATE REQUEST", await bench.read("csr"));
  assert.ok(der);
  return der;
}

testWith("openssl", "weak keys are rejected over the wire", async (bench) => {
  await using service = await openService();
  service.put();
  const rows: [options: string[], message: RegExp][] = [
    [["-newkey", "rsa:1024"], /RSA of 1024 bits/],
    [["-newkey", "ec", "-pkeyopt", "group:prime192v1"], /broken or of another kind/],
  ];
  for (const [options, message] of rows) {
    const certificateRequest = await opensslRequest(bench, options);
    const asked = await request({ certificateRequest });
    const error = await refusal(service.driver.issueCertificate(asked, wait));
    assert.equal(error.code, status.INVALID_ARGUMENT);
    assert.match(error.message, message);
  }
});

testWith(
  "openssl",
  "a request's names, its CA:TRUE and its key usage are ignored",
  async (bench) => {
    await using service = await openService();
    service.put();
    const certificateRequest = await opensslRequest(bench, [
      ...["-newkey", "ec", "-pkeyopt", "group:prime256v1"],
      ...["-addext", "subjectAltName=DNS:api.bank.svc.cluster.local,IP:10.0.0.1"],
      ...["-addext", "basicConstraints=critical,CA:TRUE"],
      ...["-addext", "keyUsage=critical,keyCertSign"],
    ]);
    const asked = await request({ certificateRequest });
    const leaf = leafOf(await service.driver.issueCertificate(asked, wait));
    assert.equal(leaf.commonName, "web-0.shop.svc.cluster.local");
    assert.deepEqual(leaf.dnsNames, ["web-0.shop.svc.cluster.local", "web-0"]);
    assert.deepEqual([leaf.ipAddresses, leaf.uris, leaf.isCa], [[], [], false]);
    assert.deepEqual(leaf.keyUsage, ["digitalSignature"]);
  },
);
