import assert from "node:assert/strict";
import { readCertificates } from "../../../src/shared/x509/certificate.ts";
import { derivePublicKey, importPrivateKey } from "../../../src/shared/crypto/key_pairs.ts";
import { X509Certificate } from "../../../src/service/x509/peculiar_x509.ts";
import { createSelfSignedCa } from "../../../src/service/x509/self_signed_ca.ts";

const notBefore = Temporal.Instant.from("2026-01-01T00:00:00Z");
const notAfter = Temporal.Instant.from("2056-01-01T00:00:00Z");

for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "rsa-2048"] as const) {
  Deno.test(`a new ${algorithm} root is a CA that can sign certificates and revocation lists`, async () => {
    const made = await createSelfSignedCa({
      algorithm,
      commonName: "Büro CA",
      notBefore,
      notAfter,
    });
    const [root, ...others] = readCertificates(made.certificatePem) ?? [];
    assert.ok(root && others.length === 0);
    assert.deepEqual([root.subject, root.issuer], ["CN=Büro CA", "CN=Büro CA"]);
    assert.ok(root.notBefore.equals(notBefore) && root.notAfter.equals(notAfter));
    assert.equal(root.isCa, true);
    assert.deepEqual(root.keyUsage, ["keyCertSign", "cRLSign"]);
    assert.equal(root.subjectKeyIdentifier?.length, 20);
    assert.equal(root.authorityKeyIdentifier, undefined);
    const { extensions } = new X509Certificate(new Uint8Array(root.der));
    const critical = [...extensions].filter((extension) => extension.critical).map(({ type }) =>
      type
    );
    assert.deepEqual(critical, ["2.5.29.19", "2.5.29.15"]);
    assert.deepEqual(await derivePublicKey(made.privateKeyPem), root.spki);
    const key = await importPrivateKey(made.privateKeyPem);
    assert.equal(key.kind === "key" && key.algorithm, algorithm);
  });
}

Deno.test("two roots never share a serial number or a key", async () => {
  const options = { algorithm: "ecdsa-p256", commonName: "CA", notBefore, notAfter } as const;
  const pems = [await createSelfSignedCa(options), await createSelfSignedCa(options)];
  const [one, two] = pems.map(({ certificatePem }) => readCertificates(certificatePem)?.[0]);
  assert.notEqual(one?.serialNumber, two?.serialNumber);
  assert.notDeepEqual(one?.spki, two?.spki);
});
