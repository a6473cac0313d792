import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Certificate,
  readCertificate,
  readCertificateFields,
} from "../../../src/shared/x509/certificate.ts";
import { type Issuer, loadIssuer } from "../../../src/service/x509/issuer.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../../../src/shared/crypto/key_algorithm.ts";
import { type LeafTemplate, signLeaf } from "../../../src/service/x509/leaf_certificate.ts";
import { parseDnsName, parseIpAddress, parseUri } from "../../../src/shared/text/name_syntax.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { forge, now } from "../../support/certificate_forge.ts";
import { signWithLibrary } from "./library_leaf.ts";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "../../../src/service/x509/peculiar_x509.ts";

// Compares our code with @peculiar/x509, which has no code in common with it.

const publicKeys = new Map<KeyAlgorithm, CryptoKey>();
for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"] as const) {
  publicKeys.set(algorithm, (await generateKeyPair(algorithm)).publicKey);
}

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 64 });
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const dnsName = fc.array(label, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("."))
  .filter((name) => parseDnsName(name) !== undefined);
const ipAddress = fc.oneof(fc.ipV4(), fc.ipV6()).map(parseIpAddress)
  .filter((address) => address !== undefined);
const uri = fc.webUrl().filter((value) => parseUri(value) !== undefined);
const instant = fc.integer({ min: Date.UTC(1970), max: Date.UTC(2200) })
  .map((ms) => Temporal.Instant.fromEpochMilliseconds(ms));

const template: fc.Arbitrary<LeafTemplate & { publicKey: CryptoKey }> = fc.record({
  publicKey: fc.constantFrom(...publicKeys.values()),
  notBefore: instant,
  notAfter: instant,
  serialNumber: fc.stringMatching(/^[0-7][0-9a-f]{31}$/).filter((hex) => !hex.startsWith("00")),
  extendedKeyUsage: fc.subarray(["serverAuth", "clientAuth"] as const).map((list) => [...list]),
  commonName: text,
  organizationalUnits: fc.array(text, { maxLength: 3 }),
  dnsNames: fc.array(dnsName, { maxLength: 6 }),
  ipAddresses: fc.array(ipAddress, { maxLength: 4 }),
  uris: fc.array(uri, { maxLength: 3 }),
});

async function issuerOf(subjectKeyIdentifier?: string): Promise<Issuer> {
  const { certificatePem, privateKeyPem } = await forge({
    commonName: "Käse, Ltd.",
    ...(subjectKeyIdentifier === undefined ? {} : { subjectKeyIdentifier }),
  });
  const outcome = await loadIssuer(certificatePem, privateKeyPem, now);
  assert.ok(outcome.kind === "loaded");
  return outcome.issuer;
}

const issuers = [await issuerOf(), await issuerOf("0102030405060708090a0b0c0d0e0f1011121314")];
/** Signs nothing, so that thousands of leaves are soon made. */
const noEngine = {
  sign: () => Promise.resolve(Uint8Array.of(0x30, 0)),
  verify: () => Promise.resolve(false),
};

Deno.test("the signed part of a leaf is byte by byte that of the library", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...issuers), template, async (issuer, template) => {
      const ours = readCertificateFields(await signLeaf(issuer, template, noEngine));
      const theirs = readCertificateFields(
        new Uint8Array((await signWithLibrary(issuer, template)).rawData),
      );
      assert.equal(ours?.signed.toHex(), theirs?.signed.toHex());
      assert.deepEqual(ours?.algorithm, theirs?.algorithm);
    }),
    { numRuns: 200 },
  );
});

Deno.test("a leaf is read as it was written, whatever its names", async () => {
  const seconds = (at: Temporal.Instant) =>
    String(at.round({ smallestUnit: "second", roundingMode: "floor" }));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...issuers), template, async (issuer, template) => {
      const read = readCertificate(await signLeaf(issuer, template, noEngine));
      const { commonName, organizationalUnits, dnsNames, ipAddresses, uris } = template;
      const names = { commonName, organizationalUnits, dnsNames, ipAddresses, uris };
      assert.deepEqual(read && { ...names, ...pick(read) }, {
        ...names,
        serialNumber: template.serialNumber,
        notBefore: seconds(template.notBefore),
        notAfter: seconds(template.notAfter),
      });
    }),
    { numRuns: 3_000 },
  );
});

function pick(read: Certificate) {
  const { commonName, organizationalUnits, dnsNames, ipAddresses, uris, serialNumber } = read;
  const times = { notBefore: String(read.notBefore), notAfter: String(read.notAfter) };
  return { commonName, organizationalUnits, dnsNames, ipAddresses, uris, serialNumber, ...times };
}

// The library cannot write characters outside of the first plane in all of these.
const planeText = fc.stringMatching(/^[ -~\u00a0-\u{d7ff}]{1,20}$/u);
const stringType = fc.constantFrom("utf8String", "bmpString", "universalString");
const nameType = fc.constantFrom("CN", "O", "OU", "L", "DC", "E", "SN", "T", "1.2.3.4");
const attribute = fc.oneof(
  fc.tuple(nameType, stringType, planeText).map(([type, kind, value]) => ({
    [type]: [{ [kind]: value }],
  })),
  fc.tuple(nameType, fc.stringMatching(/^[ -~]{1,20}$/)).map(([type, value]) => ({
    [type]: [{ ia5String: value }],
  })),
);

Deno.test("other certificates are read as the library reads them", async () => {
  const keys = await generateKeyPair("ed25519");
  const arbitrary = fc.record({
    subject: fc.array(attribute, { maxLength: 5 }),
    notAfter: instant,
    serialNumber: fc.stringMatching(/^[0-9a-f]{2,40}$/),
    isCa: fc.boolean(),
    pathLength: fc.option(fc.nat(300), { nil: undefined }),
    usage: fc.integer({ min: 1, max: 511 }),
    names: fc.array(fc.oneof(
      dnsName.map((value) => ({ type: "dns" as const, value })),
      ipAddress.map((value) => ({ type: "ip" as const, value })),
      uri.map((value) => ({ type: "url" as const, value })),
      fc.constant({ type: "email" as const, value: "a@b.example" }),
    )),
  });
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ subject, isCa, pathLength, usage, names, ...rest }) => {
      const { rawData } = await X509CertificateGenerator.create({
        serialNumber: rest.serialNumber,
        subject: new Name(subject as never),
        issuer: "CN=x",
        notBefore: new Date(0),
        notAfter: new Date(rest.notAfter.epochMilliseconds),
        publicKey: keys.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: { name: "Ed25519" },
        extensions: [
          new BasicConstraintsExtension(isCa, pathLength, true),
          new KeyUsagesExtension(usage),
          new SubjectKeyIdentifierExtension("0102"),
          new SubjectAlternativeNameExtension(names),
        ],
      });
      const read = readCertificate(new Uint8Array(rawData));
      const theirs = new X509Certificate(rawData);
      assert.ok(read, encodePem("CERTIFICATE", new Uint8Array(rawData)));
      assert.equal(read.subject, theirs.subject);
      assert.equal(read.serialNumber, theirs.serialNumber);
      assert.equal(read.notAfter.epochMilliseconds, theirs.notAfter.getTime());
      assert.deepEqual(
        [read.isCa, read.pathLength],
        [isCa, theirs.getExtension(BasicConstraintsExtension)?.pathLength],
      );
      assert.deepEqual(
        read.keyUsage,
        Object.keys(KeyUsageFlags).filter((name) =>
          (usage & Number(KeyUsageFlags[name as keyof typeof KeyUsageFlags])) !== 0 &&
          Number.isNaN(Number(name))
        ),
      );
      const valuesOf = (type: string) =>
        names.filter((name) => name.type === type).map(({ value }) => value);
      assert.deepEqual(
        [read.dnsNames, read.ipAddresses, read.uris],
        [valuesOf("dns"), valuesOf("ip"), valuesOf("url")],
      );
    }),
    { numRuns: 200 },
  );
});
