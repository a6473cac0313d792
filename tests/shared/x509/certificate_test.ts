import assert from "node:assert/strict";
import fc from "fast-check";
import { readCertificate, readCertificates } from "../../../src/shared/x509/certificate.ts";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  SubjectAlternativeNameExtension,
} from "../../../src/service/x509/peculiar_x509.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { forge, now } from "../../support/certificate_forge.ts";
import { testWith } from "../../support/workbench.ts";

Deno.test("a certificate is read with all its fields", async () => {
  const { certificate } = await forge({
    commonName: "Käse, Ltd.",
    keyUsage: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
    subjectKeyIdentifier: "0102",
    authorityKeyIdentifier: "0304",
    extensions: [
      new SubjectAlternativeNameExtension([
        { type: "dns", value: "*.a.example" },
        { type: "ip", value: "192.0.2.1" },
        { type: "ip", value: "2001:db8::1" },
        { type: "url", value: "spiffe://a/b" },
        { type: "email", value: "a@example" },
      ]),
    ],
  });
  assert.equal(certificate.commonName, "Käse, Ltd.");
  assert.equal(certificate.subject, "CN=Käse\\, Ltd.");
  assert.equal(certificate.issuer, certificate.subject);
  assert.deepEqual(certificate.organizationalUnits, []);
  assert.deepEqual(certificate.dnsNames, ["*.a.example"]);
  assert.deepEqual(certificate.ipAddresses, ["192.0.2.1", "2001:db8::1"]);
  assert.deepEqual(certificate.uris, ["spiffe://a/b"]);
  assert.ok(certificate.notBefore.equals(now.subtract({ hours: 12 })));
  assert.ok(certificate.notAfter.equals(now.add({ hours: 12 })));
  assert.equal(certificate.isCa, true);
  assert.deepEqual(certificate.keyUsage, ["keyCertSign", "cRLSign"]);
  assert.deepEqual(certificate.subjectKeyIdentifier, Uint8Array.of(1, 2));
  assert.deepEqual(certificate.authorityKeyIdentifier, Uint8Array.of(3, 4));
});

Deno.test("absent extensions are distinguished from empty ones", async () => {
  const { certificate } = await forge({ ca: "none", keyUsage: "none" });
  assert.equal(certificate.isCa, false);
  assert.equal(certificate.keyUsage, undefined);
  assert.equal(certificate.subjectKeyIdentifier, undefined);
  assert.equal(certificate.authorityKeyIdentifier, undefined);
  assert.deepEqual(certificate.dnsNames, []);
});

Deno.test("a certificate that has one extension twice is none", async () => {
  const twice = forge({ extensions: [new BasicConstraintsExtension(false, undefined, true)] });
  await assert.rejects(twice, /cannot be read/);
});

Deno.test("nothing may follow a certificate or be cut off it", async () => {
  const { der } = (await forge()).certificate;
  assert.ok(readCertificate(der));
  for (let length = 0; length < der.length; length++) {
    assert.equal(readCertificate(der.subarray(0, length)), undefined);
  }
  assert.equal(readCertificate(Uint8Array.of(...der, 0)), undefined);
  assert.equal(readCertificate(Uint8Array.of(...der, ...der)), undefined);
});

Deno.test("a certificate that names two signature algorithms is none", async () => {
  const { der } = (await forge()).certificate;
  const changed = new Uint8Array(der);
  const ecdsaWithSha256 = "2a8648ce3d040302";
  const at = der.toHex().lastIndexOf(ecdsaWithSha256) / 2;
  assert.notEqual(at * 2, der.toHex().indexOf(ecdsaWithSha256));
  changed[at + 7] = 3;
  assert.equal(readCertificate(changed), undefined);
});

Deno.test("a certificate of four parts is none", async () => {
  const { der } = (await forge()).certificate;
  const content = Uint8Array.of(...der.subarray(4), 0x05, 0x00);
  assert.equal(der[1], 0x82);
  const length = [content.length >> 8, content.length & 255];
  assert.equal(readCertificate(Uint8Array.of(0x30, 0x82, ...length, ...content)), undefined);
});

Deno.test("a certificate is DER and never its text, whatever the library would take", async () => {
  const { certificate, certificatePem } = await forge();
  for (const text of [certificatePem, certificate.der.toHex(), certificate.der.toBase64()]) {
    assert.equal(readCertificate(new TextEncoder().encode(text)), undefined);
  }
});

Deno.test("any bytes, and any change to a certificate, are read or not, but never throw", async () => {
  const { der } = (await forge({ subjectKeyIdentifier: "0102" })).certificate;
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    assert.equal(readCertificate(bytes), undefined);
  }));
  const change = fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const changed = new Uint8Array(der);
      for (const [at, byte] of changes) changed[at] = byte;
      readCertificate(changed);
    }),
    { numRuns: 500 },
  );
});

Deno.test("deeply nested DER is no certificate and no stack overflow", () => {
  let bytes = new Uint8Array();
  while (bytes.length < 60_000) {
    bytes = Uint8Array.of(0x30, 0x82, bytes.length >> 8, bytes.length & 255, ...bytes);
    if (bytes.length > 3_000) break;
  }
  assert.equal(readCertificate(bytes), undefined);
});

Deno.test("certificates are read from PEM in order, and one invalid block rejects them all", async () => {
  const [one, two] = [await forge({ commonName: "one" }), await forge({ commonName: "two" })];
  const read = readCertificates(`# a\n${one.certificatePem}\n# b\n${two.certificatePem}`);
  assert.deepEqual(read?.map(({ commonName }) => commonName), ["one", "two"]);
  assert.deepEqual(readCertificates(""), []);
  const broken = encodePem("CERTIFICATE", Uint8Array.of(0x30, 0));
  assert.equal(readCertificates(one.certificatePem + broken), undefined);
  assert.equal(readCertificates(one.certificatePem + two.certificatePem.slice(0, 90)), undefined);
});

const serials = [["0x7f", "7f"], ["0x80", "80"], ["0xff00ff", "ff00ff"], ["0", "00"]] as const;

for (const [given, expected] of serials) {
  testWith("openssl", `the serial number ${given} is read as ${expected}`, async (bench) => {
    const { certificatePem } = await bench.opensslCa(["-newkey", "ed25519", "-set_serial", given]);
    assert.equal(readCertificates(certificatePem)?.[0]?.serialNumber, expected);
  });
}

testWith(
  "openssl",
  "a certificate of version 1 is read and is not a CA certificate",
  async (bench) => {
    await bench.openssl("genpkey", "-algorithm", "ED25519", "-out", "key");
    await bench.openssl("req", "-new", "-key", "key", "-subj", "/CN=v1", "-out", "csr");
    await bench.openssl("x509", "-req", "-in", "csr", "-signkey", "key", "-out", "crt");
    const [certificate] = readCertificates(await bench.read("crt")) ?? [];
    assert.equal(certificate?.isCa, false);
    assert.equal(certificate.commonName, "v1");
  },
);
