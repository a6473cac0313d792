import assert from "node:assert/strict";
import { decodePem, encodePem } from "../../../src/shared/crypto/pem.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import {
  certificateRequest,
  issued,
  makeCa,
  openTestService,
  policy,
  rule,
} from "../../support/service_fixture.ts";
import { testWith, type Workbench } from "../../support/workbench.ts";

/** openssl compares with the machine's clock. */
const now = Temporal.Instant.fromEpochMilliseconds(Date.now());

/** A certificate request by openssl, DER. */
async function opensslRequest(bench: Workbench, options: string): Promise<Uint8Array> {
  const files = ["-nodes", "-keyout", "tls.key", "-out", "tls.csr"];
  await bench.openssl("req", "-new", ...files, ...options.split(" "));
  const [request] = decodePem("CERTIFICATE REQUEST", await bench.read("tls.csr"));
  assert(request !== undefined);
  return request;
}

for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "rsa-2048"] as const) {
  testWith("openssl", `openssl strictly verifies a leaf of a CA of ${algorithm}`, async (bench) => {
    const material = await makeCa({ algorithm }, now);
    await using service = await openTestService({ clock: new FakeClock(now), material });
    const { leaf } = issued(await service.ask());
    await bench.write("ca.crt", encodePem("CERTIFICATE", material.issuer.certificate.der));
    await bench.write("tls.crt", encodePem("CERTIFICATE", leaf.der));
    const checks = [
      "-x509_strict -purpose sslserver",
      "-x509_strict -purpose sslclient",
      "-verify_hostname web-0.shop.svc.cluster.local",
    ];
    for (const check of checks) {
      const output = await bench.openssl(
        "verify",
        ...`${check} -CAfile ca.crt tls.crt`.split(" "),
      );
      assert.match(output, /: OK/);
    }
  });
}

testWith("openssl", "openssl reads the requested names, units and usages", async (bench) => {
  await using service = await openTestService({
    policy: policy([rule({
      organizationalUnits: ["*"],
      ipRanges: [{ bits: 0n, width: 128, prefixLength: 0 }],
    })]),
  });
  const { leaf } = issued(
    await service.ask({
      attributes: {
        "organizational_units": "Shop,Front End",
        "ip-sans": "2001:db8::1",
        "dns-names": "*.web.shop.svc",
        "uri-sans": "spiffe://cluster.local/ns/shop/sa/web",
      },
    }),
  );
  await bench.write("tls.crt", encodePem("CERTIFICATE", leaf.der));
  const text = await bench.openssl("x509", "-in", "tls.crt", "-noout", "-text");
  assert.match(
    text,
    /Subject: OU ?= ?Shop, OU ?= ?Front End, CN ?= ?web-0\.shop\.svc\.cluster\.local/,
  );
  assert.match(
    text,
    /DNS:web-0\.shop\.svc\.cluster\.local, DNS:web-0, DNS:\*\.web\.shop\.svc, IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web/,
  );
  assert.match(text, /CA:FALSE/);
  assert.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/);
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
});

testWith("openssl", "names and usages in a certificate request are ignored", async (bench) => {
  await using service = await openTestService();
  const request = await opensslRequest(
    bench,
    "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=admin " +
      "-addext subjectAltName=DNS:cert-service.csi-cert-driver.internal " +
      "-addext basicConstraints=critical,CA:TRUE",
  );
  const { leaf } = issued(await service.ask({ certificateRequest: request }));
  assert.equal(leaf.commonName, "web-0.shop.svc.cluster.local");
  assert.deepEqual(leaf.dnsNames, ["web-0.shop.svc.cluster.local", "web-0"]);
  assert.equal(leaf.isCa, false);
});

testWith("openssl", "weak keys are rejected", async (bench) => {
  await using service = await openTestService();
  for (const key of ["rsa:1024", "ec -pkeyopt ec_paramgen_curve:prime192v1"]) {
    const request = await opensslRequest(bench, `-subj /CN=x -newkey ${key}`);
    const outcome = await service.ask({ certificateRequest: request });
    assert.equal(outcome.kind, "invalid");
  }
  const strong = await service.ask({ certificateRequest: await certificateRequest() });
  assert.equal(strong.kind, "issued");
});

Deno.test("a leaf states its issuer's key identifier, byte for byte", async () => {
  const material = await makeCa();
  await using service = await openTestService({ material });
  const { leaf } = issued(await service.ask());
  assert.deepEqual(leaf.authorityKeyIdentifier, material.issuer.certificate.subjectKeyIdentifier);
});
