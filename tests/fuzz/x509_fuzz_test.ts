import assert from "node:assert/strict";
import fc from "fast-check";
import { readCertificate, readCertificates } from "../../src/shared/x509/certificate.ts";
import {
  createCertificateRequest,
  parseCertificateRequest,
} from "../../src/shared/x509/certificate_request.ts";
import { verifyChain } from "../../src/shared/x509/chain.ts";
import { equalBytes } from "../../src/shared/crypto/der_reader.ts";
import { type Issuer, loadIssuer } from "../../src/service/x509/issuer.ts";
import {
  exportPrivateKey,
  generateKeyPair,
  importPrivateKey,
} from "../../src/shared/crypto/key_pairs.ts";
import { derivePublicKey, exportPublicKey } from "../../src/shared/crypto/key_pairs.ts";
import { randomSerialNumber, signLeaf } from "../../src/service/x509/leaf_certificate.ts";
import { parseDnsName, parseIpAddress, parseUri } from "../../src/shared/text/name_syntax.ts";
import { decodePem } from "../../src/shared/crypto/pem.ts";
import { createSelfSignedCa } from "../../src/service/x509/self_signed_ca.ts";
import { runs } from "../support/runs.ts";
import { mutated, mutatedText } from "./mutations.ts";
import { comparable } from "../support/comparable.ts";

/** A reader that hangs is a failure as well. */
const bounded = { interruptAfterTimeLimit: 120_000, markInterruptAsFailure: true };
const now = Temporal.Instant.from("2026-06-01T00:00:00Z");
const validity = { notBefore: now, notAfter: now.add({ hours: 24 }) };

const algorithms = ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"] as const;
const keyPairs = await Promise.all(algorithms.map(generateKeyPair));
const roots = await Promise.all(
  (["ecdsa-p256", "ecdsa-p384"] as const).map((algorithm) =>
    createSelfSignedCa({ algorithm, commonName: "Fuzz CA", ...validity })
  ),
);
const issuer = await issuerOf(roots[0]!);
const leaves = await Promise.all(keyPairs.map(({ publicKey }) => leafOf(publicKey)));

async function issuerOf(root: typeof roots[number]): Promise<Issuer> {
  const loaded = await loadIssuer(root.certificatePem, root.privateKeyPem, now);
  assert.ok(loaded.kind === "loaded");
  return loaded.issuer;
}

function leafOf(publicKey: CryptoKey, names: Partial<Parameters<typeof signLeaf>[1]> = {}) {
  return signLeaf(issuer, {
    publicKey,
    ...validity,
    serialNumber: randomSerialNumber(),
    commonName: "web-0.shop.svc.cluster.local",
    organizationalUnits: ["Payments", "Ops"],
    dnsNames: ["web-0", "*.shop.svc"],
    ipAddresses: ["10.1.2.3", "2001:db8::1"],
    uris: ["spiffe://cluster.local/ns/shop/sa/web"],
    extendedKeyUsage: ["serverAuth", "clientAuth"],
    ...names,
  });
}

Deno.test("a changed request is rejected with a reason, or is for the key that signed it", async () => {
  const corpus = await Promise.all(keyPairs.map((keyPair) => createCertificateRequest(keyPair)));
  const keys = await Promise.all(keyPairs.map(({ publicKey }) => exportPublicKey(publicKey)));
  await fc.assert(
    fc.asyncProperty(mutated(corpus), async (bytes) => {
      const parsed = await parseCertificateRequest(bytes);
      if (parsed.kind === "refused") assert.match(parsed.problem, /^the certificate request /);
      else assert.ok(keys.some((key) => equalBytes(key, parsed.spki)));
    }),
    { ...runs(6_000), ...bounded },
  );
});

Deno.test("a changed certificate is parsed the same each time or rejected, and never verifies as another", async () => {
  const anchors = [issuer.certificate];
  const corpus = [...leaves, ...roots.flatMap(({ certificatePem }) => ders(certificatePem))];
  await fc.assert(
    fc.asyncProperty(mutated(corpus), async (bytes) => {
      const certificate = readCertificate(bytes);
      if (certificate === undefined) return;
      assert.ok(equalBytes(certificate.der, bytes), "all of it, and nothing but it");
      assert.deepEqual(comparable(readCertificate(certificate.der)), comparable(certificate));
      const { kind } = await verifyChain([certificate], anchors, now.add({ hours: 1 }));
      if (kind !== "verified") return;
      const { serialNumber } = certificate;
      const original = corpus.map((der) => readCertificate(der)).find((it) =>
        it?.serialNumber === serialNumber
      );
      assert.ok(original && equalBytes(original.spki, certificate.spki), "of what was signed");
      assert.deepEqual(certificate.dnsNames, original.dnsNames);
    }),
    { ...runs(8_000), ...bounded },
  );
});

function ders(pem: string): Uint8Array[] {
  return decodePem("CERTIFICATE", pem);
}

Deno.test("the names that the parsers accept are read back from the leaf with these names", async () => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  const dns = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."))
    .filter((name) => parseDnsName(name) !== undefined);
  const address = fc.oneof(fc.ipV4(), fc.ipV6()).map(parseIpAddress)
    .filter((address) => address !== undefined);
  const uri = fc.webUrl().filter((uri) => parseUri(uri) !== undefined);
  const unit = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 })
    .map((text) => text.toWellFormed()).filter((text) => !text.includes("\0"));
  const list = <T>(item: fc.Arbitrary<T>) => fc.uniqueArray(item, { maxLength: 6 });
  const names = fc.record({
    commonName: fc.oneof(unit, dns),
    organizationalUnits: list(unit),
    dnsNames: list(dns),
    ipAddresses: list(address),
    uris: list(uri),
    serialNumber: fc.constant(0).map(() => randomSerialNumber()),
  }, { noNullPrototype: true });
  const { publicKey } = keyPairs[2]!;
  await fc.assert(
    fc.asyncProperty(names, async (names) => {
      const leaf = readCertificate(await leafOf(publicKey, names));
      assert.ok(leaf);
      for (const field of Object.keys(names) as (keyof typeof names)[]) {
        assert.deepEqual(leaf[field], names[field], field);
      }
    }),
    { ...runs(300), ...bounded },
  );
});

Deno.test("a changed key or CA file is rejected with a reason or still contains the key", async () => {
  const pems = await Promise.all(keyPairs.map(({ privateKey }) => exportPrivateKey(privateKey)));
  await fc.assert(
    fc.asyncProperty(mutatedText(pems), async (pem) => {
      const imported = await importPrivateKey(pem);
      const publicKey = await derivePublicKey(pem);
      if (imported.kind === "refused") return assert.ok(imported.problem.length > 0);
      const spki = await exportPublicKey(imported.keyPair.publicKey);
      assert.ok(publicKey && equalBytes(publicKey, spki));
    }),
    { ...runs(1_500), ...bounded },
  );
  const certificates = roots.map(({ certificatePem }) => certificatePem);
  await fc.assert(
    fc.asyncProperty(mutatedText(certificates), fc.boolean(), async (pem, second) => {
      readCertificates(pem);
      const loaded = await loadIssuer(pem, roots[second ? 1 : 0]!.privateKeyPem, now);
      if (loaded.kind === "refused") assert.ok(loaded.problem.length > 0);
    }),
    { ...runs(400), ...bounded },
  );
});
