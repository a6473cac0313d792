import assert from "node:assert/strict";
import { readCertificate } from "../../../src/shared/x509/certificate.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import {
  certificateRequest,
  issued,
  makeCa,
  openTestService,
  policy,
  rule,
} from "../../support/service_fixture.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

/** openssl compares with the machine's clock. */
const now = Temporal.Instant.fromEpochMilliseconds(Date.now());

async function openssl(args: string[], stdin?: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const process = new Deno.Command("openssl", {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  if (stdin) await writer.write(stdin);
  await writer.close();
  const { success, stdout, stderr } = await process.output();
  assert(success, new TextDecoder().decode(stderr));
  return stdout;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const hasOpenssl = await new Deno.Command("openssl", { args: ["version"] }).output()
  .then(({ success }) => success, () => false);

Deno.test({
  name: "openssl verifies what was issued, strictly, with each kind of CA",
  ignore: !hasOpenssl,
  async fn() {
    for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "rsa-2048"] as const) {
      const material = await makeCa({ algorithm }, now);
      await using service = await openTestService({ clock: new FakeClock(now), material });
      const { leaf } = issued(await service.ask());
      const folder = await Deno.makeTempDir();
      try {
        const [caFile, leafFile] = [`${folder}/ca.crt`, `${folder}/tls.crt`];
        await Deno.writeTextFile(caFile, encodePem("CERTIFICATE", material.issuer.certificate.der));
        await Deno.writeTextFile(leafFile, encodePem("CERTIFICATE", leaf.der));
        for (const purpose of ["sslserver", "sslclient"]) {
          const strict = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", caFile];
          const output = await openssl([...strict, leafFile]);
          assert.match(text(output), /: OK/);
        }
        await openssl([
          ...["verify", "-CAfile", caFile],
          ...["-verify_hostname", "web-0.shop.svc.cluster.local", leafFile],
        ]);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }
  },
});

Deno.test({
  name: "openssl reads the names, units and usages that were asked for",
  ignore: !hasOpenssl,
  async fn() {
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
    const shown = text(
      await openssl(["x509", "-inform", "der", "-noout", "-text"], new Uint8Array(leaf.der)),
    );
    assert.match(
      shown,
      /Subject: OU ?= ?Shop, OU ?= ?Front End, CN ?= ?web-0\.shop\.svc\.cluster\.local/,
    );
    assert.match(
      shown,
      /DNS:web-0\.shop\.svc\.cluster\.local, DNS:web-0, DNS:\*\.web\.shop\.svc, IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web/,
    );
    assert.match(shown, /CA:FALSE/);
    assert.match(shown, /TLS Web Server Authentication, TLS Web Client Authentication/);
    assert.match(shown, /X509v3 Key Usage: critical\s+Digital Signature\n/);
  },
});

Deno.test({
  name: "names and usages inside a certificate request are of no account",
  ignore: !hasOpenssl,
  async fn() {
    await using service = await openTestService();
    const request = await openssl([
      ...["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", "/dev/null", "-outform", "der", "-subj", "/CN=admin"],
      ...["-addext", "subjectAltName=DNS:cert-service.csi-cert-driver.internal"],
      ...["-addext", "basicConstraints=critical,CA:TRUE"],
    ]);
    const { leaf } = issued(await service.ask({ certificateRequest: request }));
    assert.equal(leaf.commonName, "web-0.shop.svc.cluster.local");
    assert.deepEqual(leaf.dnsNames, ["web-0.shop.svc.cluster.local", "web-0"]);
    assert.equal(leaf.isCa, false);
  },
});

Deno.test({
  name: "weak keys made by openssl are refused",
  ignore: !hasOpenssl,
  async fn() {
    await using service = await openTestService();
    for (const key of [["rsa:1024"], ["ec", "-pkeyopt", "ec_paramgen_curve:prime192v1"]]) {
      const request = await openssl([
        ...["req", "-new", "-nodes", "-keyout", "/dev/null", "-outform", "der", "-subj", "/CN=x"],
        ...["-newkey", ...key],
      ]);
      const outcome = await service.ask({ certificateRequest: request });
      assert.equal(outcome.kind, "invalid");
    }
    assert.equal(
      (await service.ask({ certificateRequest: await certificateRequest() })).kind,
      "issued",
    );
  },
});

Deno.test("a leaf names its issuer's key identifier byte for byte", async () => {
  const material = await makeCa();
  await using service = await openTestService({ material });
  const leaf = readCertificate(issued(await service.ask()).leaf.der);
  assert.deepEqual(
    leaf?.authorityKeyIdentifier,
    material.issuer.certificate.subjectKeyIdentifier,
  );
});
