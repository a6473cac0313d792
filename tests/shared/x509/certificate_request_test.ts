import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createCertificateRequest,
  parseCertificateRequest,
} from "../../../src/shared/x509/certificate_request.ts";
import { equalBytes } from "../../../src/shared/crypto/der_reader.ts";
import {
  exportPublicKey,
  generateKeyPair,
  importPublicKey,
} from "../../../src/shared/crypto/key_pairs.ts";
import { decodePem, encodePem } from "../../../src/shared/crypto/pem.ts";
import { testWith, type Workbench } from "../../support/workbench.ts";

async function problemOf(der: Uint8Array): Promise<string | undefined> {
  const parsed = await parseCertificateRequest(der);
  return parsed.kind === "refused" ? parsed.problem : undefined;
}

for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"] as const) {
  Deno.test(`a request for an ${algorithm} key proves possession of it`, async () => {
    const keyPair = await generateKeyPair(algorithm);
    const parsed = await parseCertificateRequest(await createCertificateRequest(keyPair));
    assert.ok(parsed.kind === "request");
    assert.equal(parsed.algorithm, algorithm);
    assert.deepEqual(parsed.spki, await exportPublicKey(keyPair.publicKey));
    const key = await importPublicKey(parsed.spki);
    assert.ok(key.kind !== "refused");
    assert.deepEqual(await exportPublicKey(key.publicKey), parsed.spki);
  });
}

Deno.test("a request for one key that another key signed is refused", async () => {
  const [mine, theirs] = [await generateKeyPair("ecdsa-p256"), await generateKeyPair("ecdsa-p256")];
  const forged = { publicKey: theirs.publicKey, privateKey: mine.privateKey };
  const der = await createCertificateRequest(forged);
  assert.match(await problemOf(der) ?? "", /does not bear a good signature by its own key/);
});

Deno.test("a request is refused when it is cut, prolonged, too long, or text", async () => {
  const der = await createCertificateRequest(await generateKeyPair("ecdsa-p256"));
  for (let length = 0; length < der.length; length++) {
    assert.match(await problemOf(der.subarray(0, length)) ?? "", /is not a PKCS #10 request/);
  }
  assert.match(await problemOf(Uint8Array.of(...der, 0)) ?? "", /is not a PKCS #10 request/);
  assert.match(await problemOf(Uint8Array.of(...der, ...der)) ?? "", /is not a PKCS #10/);
  const text = new TextEncoder().encode(encodePem("CERTIFICATE REQUEST", der));
  assert.match(await problemOf(text) ?? "", /is not a PKCS #10 request in DER/);
  const long = new Uint8Array(8193);
  assert.match(await problemOf(long) ?? "", /has 8193 bytes; at most 8192 are accepted/);
});

Deno.test("any bytes are refused in a sentence", async () => {
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
    assert.match(await problemOf(bytes) ?? "", /^the certificate request /);
  }));
});

for (const algorithm of ["ecdsa-p256", "ed25519", "rsa-2048"] as const) {
  Deno.test(`no change to a request for an ${algorithm} key gets another key accepted`, async () => {
    const keyPair = await generateKeyPair(algorithm);
    const der = await createCertificateRequest(keyPair);
    const spki = await exportPublicKey(keyPair.publicKey);
    const signedEnd = 4 + (der[1] === 0x82 ? 4 : 2) + spki.length;
    const change = fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(change, async ([at, difference]) => {
        const changed = new Uint8Array(der);
        changed[at] = (changed[at] ?? 0) ^ difference;
        const parsed = await parseCertificateRequest(changed);
        // Two encodings of one signature may both be good; of what is signed there is one only.
        if (parsed.kind === "refused") assert.match(parsed.problem, /^the certificate request /);
        else assert.ok(at > signedEnd && equalBytes(parsed.spki, spki), `at ${at}`);
      }),
      { numRuns: 200 },
    );
  });
}

const accepted: [string, string[]][] = [
  ["names, extensions and a challenge password", [
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=kubernetes/OU=a"],
    ...["-addext", "subjectAltName=DNS:kubernetes", "-addext", "basicConstraints=CA:TRUE"],
  ]],
  ["P-384 and SHA-256", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha256"]],
  ["RSA-4096 and SHA-512", ["-newkey", "rsa:4096", "-sha512"]],
  ["an RSA-PSS signature", ["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss"]],
  ["Ed25519", ["-newkey", "ed25519"]],
];

for (const [what, options] of accepted) {
  testWith("openssl", `openssl's request with ${what} is taken for its key only`, async (bench) => {
    const parsed = await parseCertificateRequest(await opensslRequest(bench, options));
    assert.ok(parsed.kind === "request", JSON.stringify(parsed));
    assert.deepEqual(Object.keys(parsed).sort(), ["algorithm", "kind", "spki"]);
  });
}

const weak: [string, RegExp, string[]][] = [
  ["RSA-1024", /RSA of 1024 bits/, ["-newkey", "rsa:1024"]],
  ["RSA-2056", /RSA of 2056 bits/, ["-newkey", "rsa:2056"]],
  ["the exponent 3", /exponent 3;/, ["-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"]],
  ["P-192", /broken or of another kind/, ["-newkey", "ec", "-pkeyopt", "group:prime192v1"]],
  ["P-521", /curve secp521r1/, ["-newkey", "ec", "-pkeyopt", "group:secp521r1"]],
  ["explicit parameters", /broken or of another kind/, [
    ...["-newkey", "ec", "-pkeyopt", "group:prime256v1", "-pkeyopt", "ec_param_enc:explicit"],
  ]],
  ["RSA-PSS only", /bound to RSA-PSS/, ["-newkey", "rsa-pss:2048"]],
  ["Ed448", /type ed448/, ["-newkey", "ed448"]],
];

for (const [what, expected, options] of weak) {
  testWith("openssl", `a request for a key of ${what} is refused, and why`, async (bench) => {
    assert.match(await problemOf(await opensslRequest(bench, options)) ?? "", expected);
  });
}

async function opensslRequest(bench: Workbench, options: string[]): Promise<Uint8Array> {
  const files = ["-keyout", "key", "-out", "csr", "-nodes"];
  await bench.openssl("req", "-new", "-subj", "/CN=x", ...files, ...options);
  const [der] = decodePem("CERTIFICATE REQUEST", await bench.read("csr"));
  assert.ok(der);
  return der;
}
