import assert from "node:assert/strict";
import { createHash, createPublicKey } from "node:crypto";
import { readCertificate, readCertificateFields } from "../../../src/shared/x509/certificate.ts";
import { readElements } from "../../../src/shared/crypto/der_reader.ts";
import { type Issuer, loadIssuer } from "../../../src/service/x509/issuer.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import {
  type LeafTemplate,
  randomSerialNumber,
  signLeaf,
} from "../../../src/service/x509/leaf_certificate.ts";
import { X509Certificate } from "../../../src/service/x509/peculiar_x509.ts";
import { createSelfSignedCa } from "../../../src/service/x509/self_signed_ca.ts";
import { forge, type Forging, now } from "../../support/certificate_forge.ts";

async function issuerOf(forging: Forging = {}): Promise<Issuer> {
  const { certificatePem, privateKeyPem } = await forge(forging);
  const outcome = await loadIssuer(certificatePem, privateKeyPem, now);
  assert.ok(outcome.kind === "loaded");
  return outcome.issuer;
}

async function template(changes: Partial<LeafTemplate> = {}): Promise<LeafTemplate> {
  return {
    publicKey: (await generateKeyPair("ecdsa-p256")).publicKey,
    notBefore: now.subtract({ minutes: 5 }),
    notAfter: now.add({ hours: 1 }),
    serialNumber: randomSerialNumber(),
    extendedKeyUsage: ["serverAuth", "clientAuth"],
    commonName: "web.shop.svc.cluster.local",
    organizationalUnits: [],
    dnsNames: [],
    ipAddresses: [],
    uris: [],
    ...changes,
  };
}

async function sign(issuer: Issuer, changes: Partial<LeafTemplate> = {}) {
  const der = await signLeaf(issuer, await template(changes));
  const certificate = readCertificate(der);
  assert.ok(certificate);
  return { der, certificate, parsed: new X509Certificate(new Uint8Array(der)) };
}

/** The certificate's extensions by OID: whether each is critical, and its value in hexadecimal. */
function extensionsOf({ extensions }: X509Certificate): Record<string, [boolean, string]> {
  return Object.fromEntries(
    extensions.map(({ type, critical, value }) => [
      type,
      [critical, new Uint8Array(value).toHex()],
    ]),
  );
}

Deno.test("a leaf has the names, the validity and the serial number of its template", async () => {
  const names = {
    commonName: "web-0.shop",
    organizationalUnits: ["Büro 1", '#2, \\a+b="c"'],
    dnsNames: ["web-0", "*.shop.svc.cluster.local"],
    ipAddresses: ["192.0.2.1", "2001:db8::1", "::1"],
    uris: ["spiffe://cluster.local/ns/shop/sa/web"],
  };
  const serialNumber = randomSerialNumber();
  const { certificate } = await sign(await issuerOf(), { ...names, serialNumber });
  const { commonName, organizationalUnits, dnsNames, ipAddresses, uris } = certificate;
  assert.deepEqual({ commonName, organizationalUnits, dnsNames, ipAddresses, uris }, names);
  assert.ok(certificate.notBefore.equals(now.subtract({ minutes: 5 })));
  assert.ok(certificate.notAfter.equals(now.add({ hours: 1 })));
  assert.equal(certificate.serialNumber, serialNumber);
  assert.equal(certificate.isCa, false);
});

Deno.test("the extensions of a leaf are those of RFC 5280 and no others", async () => {
  const { serverAuth, clientAuth } = { serverAuth: "0301", clientAuth: "0302" };
  const purpose = (last: string) => `06082b0601050507${last}`;
  const issuer = await issuerOf({ subjectKeyIdentifier: "0a0b0c" });
  const { parsed, certificate } = await sign(issuer, { dnsNames: ["a.b"] });
  const ski = certificate.subjectKeyIdentifier?.toHex();
  assert.deepEqual(extensionsOf(parsed), {
    "2.5.29.19": [true, "3000"],
    "2.5.29.15": [true, "03020780"],
    "2.5.29.14": [false, `0414${ski}`],
    "2.5.29.37": [false, `3014${purpose(serverAuth)}${purpose(clientAuth)}`],
    "2.5.29.35": [false, "300580030a0b0c"],
    "2.5.29.17": [false, "30058203612e62"],
  });
});

Deno.test("only an RSA key has the usage keyEncipherment", async () => {
  const issuer = await issuerOf();
  for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"] as const) {
    const { publicKey } = await generateKeyPair(algorithm);
    const { certificate } = await sign(issuer, { publicKey });
    const expected = ["digitalSignature", ...algorithm === "rsa-2048" ? ["keyEncipherment"] : []];
    assert.deepEqual(certificate.keyUsage, expected);
  }
});

Deno.test("the subjectKeyIdentifier is 160 bits of the key's SHA-256 (RFC 7093)", async () => {
  const { certificate } = await sign(await issuerOf());
  const spki = createPublicKey({
    key: certificate.spki as never,
    format: "der",
    type: "spki",
  }).export({ format: "jwk" });
  const point = Uint8Array.of(
    4,
    ...Uint8Array.fromBase64(spki.x ?? "", { alphabet: "base64url" }),
    ...Uint8Array.fromBase64(spki.y ?? "", { alphabet: "base64url" }),
  );
  const digest = createHash("sha256").update(point).digest().subarray(0, 20);
  assert.equal(certificate.subjectKeyIdentifier?.toHex(), digest.toString("hex"));
});

Deno.test("a leaf repeats its issuer's subjectKeyIdentifier, of any length, or has none", async () => {
  for (const subjectKeyIdentifier of ["00", "0102030405", "ff".repeat(40)]) {
    const { certificate } = await sign(await issuerOf({ subjectKeyIdentifier }));
    assert.equal(certificate.authorityKeyIdentifier?.toHex(), subjectKeyIdentifier);
  }
  const { certificate } = await sign(await issuerOf());
  assert.equal(certificate.authorityKeyIdentifier, undefined);
});

Deno.test("without names or purposes there is no empty extension for them", async () => {
  const { parsed } = await sign(await issuerOf(), { extendedKeyUsage: [] });
  assert.deepEqual(Object.keys(extensionsOf(parsed)), ["2.5.29.19", "2.5.29.15", "2.5.29.14"]);
  const { parsed: server } = await sign(await issuerOf(), { extendedKeyUsage: ["serverAuth"] });
  assert.equal(extensionsOf(server)["2.5.29.37"]?.[1], "300a06082b06010505070301");
});

Deno.test("addresses are 4 and 16 bytes in network order", async () => {
  const { parsed } = await sign(await issuerOf(), { ipAddresses: ["192.0.2.1", "2001:db8::a"] });
  const bytes = `8704c0000201871020010db800000000000000000000000a`;
  assert.deepEqual(extensionsOf(parsed)["2.5.29.17"], [false, `3018${bytes}`]);
});

Deno.test("times are UTCTime until 2049 and GeneralizedTime from 2050, in whole seconds", async () => {
  const notBefore = Temporal.Instant.from("2049-12-31T23:59:59.999Z");
  const notAfter = Temporal.Instant.from("2050-01-01T00:00:00.5Z");
  const { der, certificate } = await sign(await issuerOf(), { notBefore, notAfter });
  const validity = readElements(der)?.flatMap(({ content }) => readElements(content) ?? [])
    .flatMap(({ content }) => readElements(content) ?? [])[4];
  const times = readElements(validity?.content ?? new Uint8Array()) ?? [];
  const shown = times.map(({ tag, content }) => [tag, new TextDecoder().decode(content)]);
  assert.deepEqual(shown, [[0x17, "491231235959Z"], [0x18, "20500101000000Z"]]);
  assert.equal(String(certificate.notBefore), "2049-12-31T23:59:59Z");
  assert.equal(String(certificate.notAfter), "2050-01-01T00:00:00Z");
});

Deno.test("the signature's hash follows the issuer's key", async () => {
  const validity = { notBefore: now.subtract({ hours: 1 }), notAfter: now.add({ hours: 1 }) };
  const hashes = { "ecdsa-p256": "SHA-256", "ecdsa-p384": "SHA-384", "rsa-2048": "SHA-256" };
  for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "rsa-2048"] as const) {
    const root = await createSelfSignedCa({ algorithm, commonName: "Root", ...validity });
    const outcome = await loadIssuer(root.certificatePem, root.privateKeyPem, now);
    assert.ok(outcome.kind === "loaded");
    const { parsed } = await sign(outcome.issuer);
    assert.equal(parsed.signatureAlgorithm.hash.name, hashes[algorithm]);
  }
});

Deno.test("the issuer's name is copied byte by byte", async () => {
  const issuer = await issuerOf({ commonName: 'Käse, "A" + #1 = \\ ' });
  const { der } = await sign(issuer);
  assert.deepEqual(
    readCertificateFields(der)?.issuer,
    readCertificateFields(issuer.certificate.der)?.subject,
  );
});

Deno.test("serial numbers are 16 bytes, positive, and never the same twice", () => {
  const serials = Array.from({ length: 2000 }, randomSerialNumber);
  for (const serial of serials) assert.match(serial, /^[0-7][0-9a-f]{31}$/);
  assert.ok(serials.every((serial) => !serial.startsWith("00")));
  assert.equal(new Set(serials).size, serials.length);
  const bits = Array.from({ length: 127 }, (_, bit) => {
    const set = serials.filter((serial) => (BigInt(`0x${serial}`) >> BigInt(bit)) & 1n);
    return set.length / serials.length;
  });
  assert.ok(bits.every((share) => share > 0.4 && share < 0.6), "every bit but the sign is random");
});
