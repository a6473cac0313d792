import assert from "node:assert/strict";
import { loadIssuer } from "../../../src/service/x509/issuer.ts";
import {
  CertificatePolicyExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
} from "../../../src/service/x509/peculiar_x509.ts";
import { decodePem, decodePemBytes, encodePem } from "../../../src/shared/crypto/pem.ts";
import { createSelfSignedCa } from "../../../src/service/x509/self_signed_ca.ts";
import { forge, type Forged, type Forging, now } from "../../support/certificate_forge.ts";

async function load(first: Forged, ...others: Forged[]) {
  const pem = [first, ...others].map(({ certificatePem }) => certificatePem).join("");
  const outcome = await loadIssuer(pem, first.privateKeyPem, now);
  assert.ok(outcome.kind === "loaded", JSON.stringify(outcome));
  const namesOf = (list: { commonName: string | undefined }[]) =>
    list.map(({ commonName }) => commonName);
  const { issuer, anchors, warnings } = outcome;
  return { issuer, warnings, chain: namesOf(issuer.chain), anchors: namesOf(anchors) };
}

async function problemOf(certificatePem: string, privateKeyPem: string): Promise<string> {
  const outcome = await loadIssuer(certificatePem, privateKeyPem, now);
  assert.ok(outcome.kind === "refused");
  return outcome.problem;
}

/** Everything that strict verifiers ask for. */
const proper: Forging = {
  keyUsage: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
  subjectKeyIdentifier: "01020304",
};

Deno.test("a root is its own anchor and is left out of the chain", async () => {
  const { chain, anchors, warnings, issuer } = await load(await forge(proper));
  assert.deepEqual([chain, anchors, warnings], [[], ["Test CA"], []]);
  assert.equal(issuer.algorithm, "ecdsa-p256");
});

Deno.test("our own root loads without a warning", async () => {
  const validity = { notBefore: now.subtract({ minutes: 5 }), notAfter: now.add({ hours: 1 }) };
  const { certificatePem, privateKeyPem } = await createSelfSignedCa({
    algorithm: "ecdsa-p384",
    commonName: "Our CA",
    ...validity,
  });
  const outcome = await loadIssuer(certificatePem, privateKeyPem, now);
  assert.ok(outcome.kind === "loaded");
  assert.deepEqual(outcome.warnings, []);
  assert.deepEqual(outcome.issuer.certificate.keyUsage, ["keyCertSign", "cRLSign"]);
  assert.ok(outcome.issuer.certificate.notAfter.equals(validity.notAfter));
});

Deno.test("an intermediate goes into the chain and its root into the anchors, in any order", async () => {
  const root = await forge({ ...proper, commonName: "root" });
  const upper = await forge({ ...proper, commonName: "upper", issuer: root });
  const lower = await forge({ ...proper, commonName: "lower", issuer: upper });
  for (const others of [[upper, root], [root, upper], [upper, root, root]]) {
    const { chain, anchors, warnings } = await load(lower, ...others);
    assert.deepEqual([chain, anchors, warnings], [["lower", "upper"], ["root"], []]);
  }
});

Deno.test("an intermediate alone is its own anchor", async () => {
  const root = await forge({ ...proper, commonName: "root" });
  const middle = await forge({ ...proper, commonName: "middle", issuer: root });
  const { chain, anchors } = await load(middle);
  assert.deepEqual([chain, anchors], [["middle"], ["middle"]]);
});

Deno.test("more roots become anchors, also two with the same name", async () => {
  const [first, second] = [await forge(proper), await forge(proper)];
  const third = await forge({ ...proper, commonName: "third" });
  const { anchors } = await load(first, second, third, first);
  assert.deepEqual(anchors, ["Test CA", "Test CA", "third"]);
});

Deno.test("unrelated certificates and expired roots are left out with a warning", async () => {
  const root = await forge(proper);
  const other = await forge({ ...proper, commonName: "other" });
  const stray = await forge({ ...proper, commonName: "stray", issuer: other });
  const expired = await forge({
    ...proper,
    commonName: "old",
    notAfter: now.subtract({ hours: 1 }),
  });
  const { anchors, chain, warnings } = await load(root, stray, expired);
  assert.deepEqual([anchors, chain], [["Test CA"], []]);
  assert.equal(warnings.length, 2);
  assert.match(warnings.join("\n"), /"CN=stray" in the CA's PEM is ignored/);
  assert.match(warnings.join("\n"), /a root in the CA's PEM is ignored: .*"CN=old" expired/);
});

Deno.test("an intermediate that its root does not allow is rejected", async () => {
  const root = await forge({ ...proper, commonName: "root", pathLength: 0 });
  const middle = await forge({ ...proper, commonName: "middle", issuer: root });
  const otherRoot = await forge({ ...proper, commonName: "other" });
  const pem = middle.certificatePem + root.certificatePem;
  assert.match(await problemOf(pem, middle.privateKeyPem), /chain leads to no root .* allows 0/);
  const unrelated = middle.certificatePem + otherRoot.certificatePem;
  assert.match(
    await problemOf(unrelated, middle.privateKeyPem),
    /issuer of .*"CN=root", is missing/,
  );
});

Deno.test("a path length of 0 is enough for a CA that signs leaves", async () => {
  assert.deepEqual((await load(await forge({ ...proper, pathLength: 0 }))).warnings, []);
});

const refused: [string, Forging, RegExp][] = [
  ["a leaf", { ca: false }, /^the certificate "CN=Test CA" is not a CA .*; give the cert/],
  ["a certificate without basicConstraints", { ca: "none" }, /is not a CA /],
  ["a CA that expired", { notAfter: now }, /expired at 2026-03-01T12:00:00Z, and it is .*; give/],
  ["a CA of tomorrow", { notBefore: now.add({ seconds: 1 }) }, /is not valid before .*; wait/],
  [
    "a CA without keyCertSign",
    { keyUsage: KeyUsageFlags.digitalSignature },
    /\(its keyUsage is digitalSignature\); make it with -addext keyUsage=critical,keyCertSign,/,
  ],
  [
    "a CA with empty nameConstraints",
    { extensions: [new Extension("2.5.29.30", false, new Uint8Array([0x30, 0]))] },
    /nameConstraints that are not as RFC 5280, 4\.2\.1\.10, writes them; have it issued again/,
  ],
];

for (const [what, forging, expected] of refused) {
  Deno.test(`${what} is rejected in one sentence with a suggestion`, async () => {
    const { certificatePem, privateKeyPem } = await forge(forging);
    assert.match(await problemOf(certificatePem, privateKeyPem), expected);
  });
}

Deno.test("a CA whose name is not properly encoded is rejected", async () => {
  const { certificate, privateKeyPem } = await forge({ commonName: "\u00e9\u00e9" });
  const broken = certificate.der.toHex().replaceAll("0c04c3a9c3a9", "0c04c3a9ffa9");
  const pem = encodePem("CERTIFICATE", Uint8Array.fromHex(broken));
  assert.match(await problemOf(pem, privateKeyPem), /subject of .* is not properly encoded/);
});

const warned: [string, Forging, RegExp][] = [
  [
    "without keyUsage",
    { keyUsage: "none" },
    /has no keyUsage: .*; make it with -addext keyUsage=critical,keyCertSign,cRLSign$/,
  ],
  ["without subjectKeyIdentifier", { subjectKeyIdentifier: "none" }, /has no subjectKeyIdent/],
  [
    "whose authorityKeyIdentifier is not its own",
    { authorityKeyIdentifier: "05" },
    /OpenSSL does not accept it as a root/,
  ],
];

for (const [what, forging, expected] of warned) {
  Deno.test(`a CA ${what} is accepted with a warning`, async () => {
    const { subjectKeyIdentifier, ...others } = { ...proper, ...forging };
    const withSki = subjectKeyIdentifier === "none" ? {} : { subjectKeyIdentifier };
    const { warnings } = await load(await forge({ ...others, ...withSki } as Forging));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", expected);
  });
}

Deno.test("a CA for TLS and one with a certificate policy are accepted without a warning", async () => {
  const { serverAuth, clientAuth } = ExtendedKeyUsage;
  const extensions = [
    new ExtendedKeyUsageExtension([serverAuth, clientAuth]),
    new CertificatePolicyExtension(["1.2.3"], true),
  ];
  assert.deepEqual((await load(await forge({ ...proper, extensions }))).warnings, []);
});

Deno.test("a key of another certificate is rejected, and the certificate it belongs to is named", async () => {
  const [one, two] = [await forge(), await forge({ commonName: "two" })];
  assert.match(
    await problemOf(one.certificatePem, two.privateKeyPem),
    /does not belong to its cert/,
  );
  const both = one.certificatePem + two.certificatePem;
  assert.match(await problemOf(both, two.privateKeyPem), /belongs to .*"CN=two".*put .* first/);
});

Deno.test("a comment in Latin-1 above the PEM does no harm", async () => {
  const { certificatePem, privateKeyPem } = await forge(proper);
  const bytes = [...latin1("Zertifikat f\u00fcr den Cluster\n"), ...latin1(certificatePem)];
  const pem = decodePemBytes(Uint8Array.from(bytes));
  assert.equal((await loadIssuer(pem, privateKeyPem, now)).kind, "loaded");
});

Deno.test("DER, PKCS#12, PKCS#7, UTF-16 and base64 twice are named with what to do", async () => {
  const { certificate, certificatePem, privateKeyPem } = await forge(proper);
  const [key] = decodePem("PRIVATE KEY", privateKeyPem);
  assert.ok(key);
  const utf16 = (text: string) => [...text].flatMap((character) => [character.charCodeAt(0), 0]);
  const wide = (text: string) => decodePemBytes(Uint8Array.from([0xff, 0xfe, ...utf16(text)]));
  const pfx = decodePemBytes(Uint8Array.fromHex(`308204a2020103308204680${"6".repeat(61)}`));
  const pkcs7 = decodePemBytes(
    Uint8Array.fromHex(`308204a206092a864886f70d010702${"a0".repeat(30)}`),
  );
  const cases: [string, string, RegExp][] = [
    [
      decodePemBytes(certificate.der),
      privateKeyPem,
      /certificate in DER; .*`openssl x509 -inform DER/,
    ],
    [certificatePem, decodePemBytes(key), /key in DER; .*`openssl pkey -inform DER/],
    [pfx, privateKeyPem, /it is PKCS#12; .*`openssl pkcs12 -in FILE -nokeys -out tls\.crt`/],
    [
      certificatePem,
      pfx,
      /it is PKCS#12; .*`openssl pkcs12 -in FILE -nocerts -noenc -out tls\.key`/,
    ],
    [pkcs7, privateKeyPem, /it is PKCS#7; .*-print_certs/],
    [wide(certificatePem), privateKeyPem, /it is UTF-16; .*`iconv -f UTF-16 -t UTF-8/],
    [certificatePem, wide(privateKeyPem), /it is UTF-16; /],
    [String.fromCharCode(...utf16(certificatePem)), privateKeyPem, /it is UTF-16; /],
    [btoa(certificatePem), privateKeyPem, /it was encoded twice; .*`base64 -d FILE >tls\.crt`/],
    [certificatePem, btoa(privateKeyPem), /it was encoded twice; .*`base64 -d FILE >tls\.key`/],
    [
      certificate.der.toBase64(),
      privateKeyPem,
      /DER in base64, without the lines BEGIN and END; decode it .*certificate in DER; .*`openssl x509 /,
    ],
  ];
  for (const [crt, keyText, expected] of cases) {
    const problem = await problemOf(crt, keyText);
    assert.match(problem, expected);
    assert.ok(!problem.includes(privateKeyPem.slice(28, 40)));
  }
});

function latin1(text: string): number[] {
  return [...text].map((character) => character.charCodeAt(0));
}

Deno.test("files that are empty, broken or swapped are rejected with what was found", async () => {
  const { certificatePem, privateKeyPem } = await forge();
  const cases: [string, string, RegExp][] = [
    ["", privateKeyPem, /expected the CA's certificate .* but found no PEM block/],
    ["garbage", privateKeyPem, /but found no PEM block/],
    [privateKeyPem, certificatePem, /but found PEM blocks PRIVATE KEY/],
    [certificatePem.slice(0, 100), privateKeyPem, /contains a certificate that cannot be read/],
    [certificatePem, "", /^the CA's key cannot be used: expected one PEM block/],
    [certificatePem, certificatePem, /but found PEM blocks CERTIFICATE/],
    [certificatePem, privateKeyPem.slice(0, 90), /key is broken or of another kind/],
  ];
  for (const [certificate, key, expected] of cases) {
    const problem = await problemOf(certificate, key);
    assert.match(problem, expected);
    assert.ok(!problem.includes(privateKeyPem.slice(28, 40)));
  }
});
