import assert from "node:assert/strict";
import { decodePem } from "../../../src/shared/crypto/pem.ts";
import {
  derivePublicKey,
  exportPrivateKey,
  exportPublicKey,
  generateKeyPair,
  importPrivateKey,
  importPublicKey,
} from "../../../src/shared/crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../../../src/shared/crypto/key_algorithm.ts";
import { testWith, type Workbench } from "../../support/workbench.ts";

for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"] as const) {
  Deno.test(`a new ${algorithm} key comes back from its PKCS #8 PEM`, async () => {
    const { privateKey, publicKey } = await generateKeyPair(algorithm);
    const pem = await exportPrivateKey(privateKey);
    assert.match(pem, /^-----BEGIN PRIVATE KEY-----\n/);
    const imported = await importPrivateKey(pem);
    assert.ok(imported.kind === "key");
    assert.equal(imported.algorithm, algorithm);
    assert.equal(await exportPrivateKey(imported.keyPair.privateKey), pem);
    const spki = await exportPublicKey(publicKey);
    assert.deepEqual(await exportPublicKey(imported.keyPair.publicKey), spki);
    assert.deepEqual(await derivePublicKey(pem), spki);
    const again = await importPublicKey(spki);
    assert.equal(again.kind === "key" && again.algorithm, algorithm);
  });
}

Deno.test("a new RSA key has the exponent 65537", async () => {
  const { publicKey } = await generateKeyPair("rsa-2048");
  const { publicExponent } = publicKey.algorithm as RsaHashedKeyAlgorithm;
  assert.deepEqual(publicExponent, Uint8Array.of(1, 0, 1));
});

const forms: [string, KeyAlgorithm, string[][]][] = [
  ["PKCS #1", "rsa-2048", [["genrsa", "-traditional", "-out", "key", "2048"]]],
  ["PKCS #8", "rsa-3072", [["genrsa", "-out", "key", "3072"]]],
  [
    "SEC 1 behind EC PARAMETERS",
    "ecdsa-p256",
    [["ecparam", "-name", "prime256v1", "-genkey", "-out", "key"]],
  ],
  [
    "SEC 1",
    "ecdsa-p384",
    [["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "key"]],
  ],
  [
    "SEC 1 with a compressed point",
    "ecdsa-p256",
    [["ecparam", "-name", "prime256v1", "-genkey", "-conv_form", "compressed", "-out", "key"]],
  ],
  ["PKCS #8", "ed25519", [["genpkey", "-algorithm", "ED25519", "-out", "key"]]],
  ["PKCS #8", "ecdsa-p384", [
    ["ecparam", "-name", "secp384r1", "-genkey", "-out", "raw"],
    ["pkcs8", "-topk8", "-nocrypt", "-in", "raw", "-out", "key"],
  ]],
  ["PKCS #8 without its public key", "ecdsa-p256", [
    ["ecparam", "-name", "prime256v1", "-genkey", "-out", "raw"],
    ["ec", "-in", "raw", "-no_public", "-out", "bare"],
    ["pkcs8", "-topk8", "-nocrypt", "-in", "bare", "-out", "key"],
  ]],
];

for (const [form, algorithm, commands] of forms) {
  testWith("openssl", `openssl's ${algorithm} key as ${form} is read`, async (bench) => {
    const pem = await keyFrom(bench, commands);
    const imported = await importPrivateKey(pem);
    assert.ok(imported.kind === "key", JSON.stringify(imported));
    assert.equal(imported.algorithm, algorithm);
    const whole = algorithm.startsWith("ecdsa") ? ["-ec_conv_form", "uncompressed"] : [];
    const spki = await bench.openssl("pkey", "-in", "key", "-pubout", ...whole);
    assert.deepEqual(await derivePublicKey(pem), decodePem("PUBLIC KEY", spki)[0]);
  });
}

const unfit: [string, RegExp, string[][]][] = [
  ["an encrypted PKCS #8 key", /is encrypted; decrypt it with `openssl pkey/, [
    ["genpkey", "-algorithm", "ED25519", "-aes128", "-pass", "pass:x", "-out", "key"],
  ]],
  ["an encrypted PKCS #1 key", /is encrypted; decrypt/, [
    ["genrsa", "-traditional", "-aes128", "-passout", "pass:x", "-out", "key", "2048"],
  ]],
  ["an RSA-PSS key", /bound to RSA-PSS/, [
    ["genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key"],
  ]],
  ["an EC key with explicit parameters", /-param_enc named_curve/, [
    ["ecparam", "-name", "prime256v1", "-genkey", "-param_enc", "explicit", "-out", "key"],
  ]],
  ["a PKCS #8 EC key with explicit parameters", /-param_enc named_curve/, [
    ["ecparam", "-name", "prime256v1", "-genkey", "-param_enc", "explicit", "-out", "raw"],
    ["pkcs8", "-topk8", "-nocrypt", "-in", "raw", "-out", "key"],
  ]],
  ["a P-521 key", /curve secp521r1; accepted are ECDSA P-256 and P-384/, [
    ["ecparam", "-name", "secp521r1", "-genkey", "-out", "key"],
  ]],
  ["a secp256k1 key", /curve secp256k1; accepted/, [
    ["ecparam", "-name", "secp256k1", "-genkey", "-out", "key"],
  ]],
  ["a P-192 key", /broken or of another kind; accepted/, [
    ["ecparam", "-name", "prime192v1", "-genkey", "-out", "key"],
  ]],
  ["an RSA-1024 key", /RSA of 1024 bits with the exponent 65537; accepted/, [
    ["genrsa", "-out", "key", "1024"],
  ]],
  ["an RSA key with the exponent 3", /RSA of 2048 bits with the exponent 3; accepted/, [
    ["genrsa", "-3", "-out", "key", "2048"],
  ]],
  ["an Ed448 key", /of the type ed448; accepted/, [
    ["genpkey", "-algorithm", "ED448", "-out", "key"],
  ]],
  ["an X25519 key", /of the type x25519; accepted/, [
    ["genpkey", "-algorithm", "X25519", "-out", "key"],
  ]],
];

for (const [what, expected, commands] of unfit) {
  testWith("openssl", `${what} is rejected with the fix, and without the key`, async (bench) => {
    const pem = await keyFrom(bench, commands);
    const imported = await importPrivateKey(pem);
    assert.ok(imported.kind === "refused");
    assert.match(imported.problem, expected);
    assertShowsNothingOf(pem, imported.problem);
    assert.equal(await derivePublicKey(pem), undefined);
  });
}

Deno.test("what is no private key is refused in words", async () => {
  const pem = await exportPrivateKey((await generateKeyPair("ecdsa-p256")).privateKey);
  const cases: [string, RegExp][] = [
    ["", /found no PEM block/],
    ["garbage\0\uffff", /found no PEM block/],
    [pem.replaceAll("PRIVATE KEY", "CERTIFICATE"), /found PEM blocks CERTIFICATE/],
    [pem + pem, /found PEM blocks PRIVATE KEY, PRIVATE KEY/],
    [pem.replaceAll("PRIVATE KEY", "RSA PRIVATE KEY"), /broken or of another kind/],
    [pem.slice(0, 80), /broken or of another kind/],
    [pem.replace("\n", "\nAAAA"), /broken or of another kind/],
  ];
  for (const [text, expected] of cases) {
    const imported = await importPrivateKey(text);
    assert.ok(imported.kind === "refused", text);
    assert.match(imported.problem, expected);
    assertShowsNothingOf(pem, imported.problem);
  }
});

Deno.test("a private key is read with text around it and with Windows line ends", async () => {
  const pem = await exportPrivateKey((await generateKeyPair("ecdsa-p256")).privateKey);
  const text = `Bag Attributes\n  localKeyID: 01\n${pem.replaceAll("\n", "\r\n")}\nend`;
  assert.equal((await importPrivateKey(text)).kind, "key");
});

async function keyFrom(bench: Workbench, commands: string[][]): Promise<string> {
  for (const command of commands) await bench.openssl(...command);
  return await bench.read("key");
}

/** Not even eight characters of the key's text are in a message. */
function assertShowsNothingOf(pem: string, message: string): void {
  const secrets = pem.split("\n").filter((line) => /^[A-Za-z0-9+/=]{8,}$/.test(line));
  for (const line of secrets) {
    for (let at = 0; at + 8 <= line.length; at++) {
      assert.ok(!message.includes(line.slice(at, at + 8)));
    }
  }
}
