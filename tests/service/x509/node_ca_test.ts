import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { deriveNodeCa } from "../../../src/service/x509/node_ca.ts";
import { deriveNodeCaKey, deriveNodeCaScalar } from "../../../src/service/x509/node_ca_key.ts";
import { signNodeCertificate } from "../../../src/service/x509/node_certificate.ts";
import { exportPublicKey, generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { webCryptoEngine } from "../../../src/shared/crypto/web_crypto_engine.ts";
import { readCertificate } from "../../../src/shared/x509/certificate.ts";
import { verifyChain } from "../../../src/shared/x509/chain.ts";
import { testWith } from "../../support/workbench.ts";
import { knownAnswers, knownScope } from "./node_ca_keys.ts";

type Algorithm = keyof typeof knownAnswers;

const derOf = (algorithm: Algorithm) =>
  Uint8Array.fromBase64(knownAnswers[algorithm].pkcs8.replaceAll("\n", ""));
const pemOf = (algorithm: Algorithm) => encodePem("PRIVATE KEY", derOf(algorithm));

async function derive(pem: string, scope = knownScope) {
  const nodeCa = await deriveNodeCa(pem, scope);
  assert.ok(nodeCa);
  return nodeCa;
}

for (const algorithm of Object.keys(knownAnswers) as Algorithm[]) {
  Deno.test(`the node CA's key of an ${algorithm} CA is the one that another implementation derives`, async () => {
    const scalar = await deriveNodeCaScalar(derOf(algorithm), algorithm, knownScope);
    assert.equal(scalar.toHex(), knownAnswers[algorithm].scalar);
    const key = await deriveNodeCaKey(pemOf(algorithm), knownScope);
    assert.ok(key);
    const jwk = await crypto.subtle.exportKey("jwk", key.privateKey);
    const number = Uint8Array.fromBase64(jwk.d ?? "", { alphabet: "base64url" });
    assert.equal(number.toHex(), knownAnswers[algorithm].scalar);
  });
}

/** The same key in another container. */
function recoded(algorithm: Algorithm, type: "pkcs1" | "sec1", label: string): string {
  const key = createPrivateKey({
    key: Buffer.from(derOf(algorithm)),
    format: "der",
    type: "pkcs8",
  });
  return encodePem(label, new Uint8Array(key.export({ format: "der", type })));
}

Deno.test("PKCS #1, SEC 1 and PKCS #8 of one CA key give one node CA", async () => {
  const forms: [Algorithm, string][] = [
    ["ecdsa-p256", recoded("ecdsa-p256", "sec1", "EC PRIVATE KEY")],
    ["ecdsa-p384", recoded("ecdsa-p384", "sec1", "EC PRIVATE KEY")],
    ["rsa-2048", recoded("rsa-2048", "pkcs1", "RSA PRIVATE KEY")],
  ];
  for (const [algorithm, pem] of forms) {
    const [one, other] = [await derive(pemOf(algorithm)), await derive(pem)];
    assert.deepEqual(one.certificate.spki, other.certificate.spki);
    assert.equal(one.certificate.subject, other.certificate.subject);
    assert.equal(one.certificate.serialNumber, other.certificate.serialNumber);
  }
});

testWith("openssl", "forms that openssl writes of one CA key give one node CA", async (bench) => {
  const spkis = new Set<string>();
  await bench.write("ca.key", pemOf("ecdsa-p256"));
  await bench.openssl("ecparam", "-name", "prime256v1", "-out", "parameters.pem");
  await bench.openssl("ec", "-in", "ca.key", "-out", "sec1.key");
  await bench.openssl("ec", "-in", "ca.key", "-no_public", "-out", "short.key");
  await bench.openssl("ec", "-in", "ca.key", "-conv_form", "compressed", "-out", "compressed.key");
  const parameters = await bench.read("parameters.pem");
  for (const name of ["ca.key", "sec1.key", "short.key", "compressed.key"]) {
    for (const before of ["", parameters]) {
      const { certificate } = await derive(before + await bench.read(name));
      spkis.add(certificate.spki.toHex());
    }
  }
  assert.equal(spkis.size, 1);
});

testWith("openssl", "the order of an RSA key's primes does not matter", async (bench) => {
  const key = createPrivateKey(pemOf("rsa-2048"));
  const { n, e, d, p, q } = key.export({ format: "jwk" });
  const number = (text = "") => Uint8Array.fromBase64(text, { alphabet: "base64url" }).toHex();
  const big = (text?: string) => BigInt(`0x${number(text)}`);
  const [dp, dq] = [big(d) % (big(p) - 1n), big(d) % (big(q) - 1n)];
  let inverse = 1n;
  for (let power = big(q) - 2n, base = big(p) % big(q); power > 0n; power >>= 1n) {
    if (power & 1n) inverse = inverse * base % big(q);
    base = base * base % big(q);
  }
  const integers = [0n, big(n), big(e), big(d), big(q), big(p), dq, dp, inverse];
  const lines = integers.map((value, index) => `i${index}=INTEGER:${value}`);
  await bench.write("key.conf", ["asn1=SEQUENCE:key", "[key]", ...lines].join("\n"));
  await bench.openssl("asn1parse", "-genconf", "key.conf", "-noout", "-out", "key.der");
  await bench.openssl("rsa", "-inform", "DER", "-in", "key.der", "-traditional", "-out", "key.pem");
  const swapped = await derive(await bench.read("key.pem"));
  assert.deepEqual(swapped.certificate.spki, (await derive(pemOf("rsa-2048"))).certificate.spki);
});

Deno.test("another Secret, another trust domain and another CA key each give another node CA", async () => {
  const scopes = [
    knownScope,
    { ...knownScope, clusterId: "0f8fad5b-d9cb-469f-a165-70867728950f" },
    { ...knownScope, trustDomain: "cluster.example" },
    // Joined without their lengths, the two parts would be those of the first scope.
    { trustDomain: "cluster.local0", clusterId: knownScope.clusterId.slice(1) },
  ];
  const spkis = await Promise.all(
    scopes.map(async (scope) =>
      (await derive(pemOf("ecdsa-p256"), scope)).certificate.spki.toHex()
    ),
  );
  const other = await derive(pemOf("ed25519"));
  assert.equal(new Set([...spkis, other.certificate.spki.toHex()]).size, 5);
});

Deno.test("the node CA can sign no other CA and has its own key", async () => {
  const { certificate } = await derive(pemOf("ecdsa-p256"));
  assert.equal(certificate.isCa, true);
  assert.equal(certificate.pathLength, 0);
  assert.deepEqual(certificate.keyUsage, ["keyCertSign"]);
  assert.equal(certificate.subject, "CN=csi-cert-driver node CA");
  assert.equal(certificate.issuer, certificate.subject);
  assert.ok(certificate.subjectKeyIdentifier);
  assert.equal(certificate.extensions.get("2.5.29.19")?.critical, true);
});

Deno.test("no node CA is derived from a text without a key", async () => {
  assert.equal(await deriveNodeCa("", knownScope), undefined);
  assert.equal(
    await deriveNodeCa(encodePem("PRIVATE KEY", new Uint8Array(9)), knownScope),
    undefined,
  );
});

const uri = "spiffe://cluster.local/csi-cert-node/node-1";

async function certificateOf(nodeCa: Awaited<ReturnType<typeof derive>>) {
  const keys = await generateKeyPair("ecdsa-p256");
  const now = Temporal.Now.instant();
  const der = await signNodeCertificate(nodeCa, {
    spki: await exportPublicKey(keys.publicKey),
    uri,
    holder: "5a1d7c1e-0000-4000-8000-000000000001",
    notBefore: now.subtract({ minutes: 5 }),
    notAfter: now.add({ hours: 1 }),
    serialNumber: "4a".repeat(16),
  }, webCryptoEngine);
  const certificate = readCertificate(der);
  assert.ok(certificate);
  return certificate;
}

Deno.test("a node certificate states the node as its one URI and the pod's uid, and no common name", async () => {
  const nodeCa = await derive(pemOf("ecdsa-p256"));
  const certificate = await certificateOf(nodeCa);
  assert.deepEqual(certificate.uris, [uri]);
  assert.deepEqual([...certificate.dnsNames, ...certificate.ipAddresses], []);
  assert.equal(certificate.commonName, undefined);
  assert.equal(certificate.subject, "2.5.4.5=5a1d7c1e-0000-4000-8000-000000000001");
  assert.equal(certificate.isCa, false);
  const verdict = await verifyChain([certificate], [nodeCa.certificate], Temporal.Now.instant());
  assert.deepEqual(verdict, { kind: "verified" });
});

testWith(
  "openssl",
  "openssl verifies one replica's node certificate against another's node CA",
  async (bench) => {
    const [one, other] = [await derive(pemOf("rsa-2048")), await derive(pemOf("rsa-2048"))];
    const { der } = await certificateOf(one);
    await bench.write("leaf.pem", encodePem("CERTIFICATE", der));
    await bench.write("ca.pem", encodePem("CERTIFICATE", other.certificate.der));
    const anchors = ["-no-CApath", "-no-CAstore", "-CAfile", "ca.pem"];
    const verify = (...options: string[]) =>
      bench.run("openssl", "verify", "-x509_strict", ...anchors, ...options, "leaf.pem");
    const client = await verify("-purpose", "sslclient");
    assert.ok(client.success, client.output);
    assert.equal((await verify("-purpose", "sslserver")).success, false);
    const shown = await bench.openssl("x509", "-in", "leaf.pem", "-noout", "-subject");
    assert.match(shown, /serialNumber ?= ?5a1d7c1e-0000-4000-8000-000000000001/);
  },
);
