import assert from "node:assert/strict";
import fc from "fast-check";
import { openOpensslEngine } from "../../../src/service/openssl/openssl_engine.ts";
import {
  createCertificateRequest,
  parseCertificateRequest,
} from "../../../src/shared/x509/certificate_request.ts";
import { exportPublicKey, generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import type {
  SignatureEngine,
  SignatureToVerify,
} from "../../../src/shared/crypto/signature_engine.ts";
import {
  readSignatureScheme,
  signatureAlgorithm,
} from "../../../src/shared/crypto/signature_scheme.ts";
import { webCryptoEngine } from "../../../src/shared/crypto/web_crypto_engine.ts";
import { requiringTest } from "../../support/requirement.ts";

const openssl = await openOpensslEngine();
const engines: readonly (readonly [string, SignatureEngine])[] = [
  ["WebCrypto", webCryptoEngine],
  ...openssl ? [["OpenSSL", openssl] as const] : [],
];

function test(name: string, body: () => Promise<void>): void {
  requiringTest(
    name,
    { isMet: openssl !== undefined, reason: "no libcrypto.so.3 here" },
    body,
  );
}

const bytes = new TextEncoder().encode("what is signed");

async function signed(algorithm: Parameters<typeof generateKeyPair>[0], engine = webCryptoEngine) {
  const { privateKey, publicKey } = await generateKeyPair(algorithm);
  const scheme = readSignatureScheme(signatureAlgorithm(algorithm));
  assert.ok(scheme);
  const signature = await engine.sign(privateKey, algorithm, bytes);
  return { spki: await exportPublicKey(publicKey), scheme, signature, bytes };
}

/** Whether a signature is good; the engines have to agree. */
async function verdict(signed: SignatureToVerify): Promise<boolean> {
  const verdicts = new Set<boolean>();
  for (const [, engine] of engines) verdicts.add(await engine.verify(signed));
  assert.equal(verdicts.size, 1, `the engines disagree about ${signed.signature.toHex()}`);
  return verdicts.has(true);
}

for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"] as const) {
  for (const [name, engine] of engines) {
    test(`every engine verifies ${name}'s ${algorithm} signatures, and rejects them for other bytes`, async () => {
      const good = await signed(algorithm, engine);
      assert.equal(await verdict(good), true);
      assert.equal(await verdict({ ...good, bytes: Uint8Array.of(...bytes, 0) }), false);
      assert.equal(await verdict({ ...good, bytes: new Uint8Array() }), false);
      assert.equal(await verdict({ ...good, spki: (await signed(algorithm)).spki }), false);
      assert.equal(await verdict({ ...good, signature: new Uint8Array() }), false);
    });
  }

  test(`every engine rejects each changed ${algorithm} signature`, async () => {
    const good = await signed(algorithm);
    const { signature } = good;
    const change = fc.tuple(fc.nat(signature.length - 1), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(change, async ([at, difference]) => {
        const changed = signature.map((byte, index) => index === at ? byte ^ difference : byte);
        assert.equal(await verdict({ ...good, signature: changed }), false);
      }),
      { numRuns: 60 },
    );
    for (const length of [1, 8, signature.length - 1]) {
      assert.equal(await verdict({ ...good, signature: signature.subarray(0, length) }), false);
    }
    assert.equal(await verdict({ ...good, signature: Uint8Array.of(...signature, 0) }), false);
  });
}

test("a key of one kind verifies no signature of another kind", async () => {
  const all = [await signed("ecdsa-p256"), await signed("ed25519"), await signed("rsa-2048")];
  for (const { spki } of all) {
    for (const other of all) assert.equal(await verdict({ ...other, spki }), spki === other.spki);
  }
});

test("a point that is not on its curve is not accepted as a key", async () => {
  const good = await signed("ecdsa-p256");
  const last = good.spki.length - 1;
  const spki = good.spki.map((byte, index) => index === last ? byte ^ 1 : byte);
  assert.equal(await verdict({ ...good, spki }), false);
});

test("each engine accepts requests that the other engine signed", async () => {
  for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"] as const) {
    const keys = await generateKeyPair(algorithm);
    for (const [, signer] of engines) {
      const request = await createCertificateRequest(keys, signer);
      for (const [name, verifier] of engines) {
        const parsed = await parseCertificateRequest(request, verifier);
        assert.equal(parsed.kind, "request", `${algorithm}, ${name}`);
      }
    }
  }
});

test("two ECDSA signatures of the same bytes differ", async () => {
  const { privateKey } = await generateKeyPair("ecdsa-p256");
  const signatures = new Set<string>();
  for (let n = 0; n < 50; n++) {
    signatures.add((await openssl!.sign(privateKey, "ecdsa-p256", bytes)).toHex());
  }
  assert.equal(signatures.size, 50);
});
