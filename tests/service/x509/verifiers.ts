import assert from "node:assert/strict";
import { Crypto } from "@peculiar/webcrypto";
import { type Certificate, readCertificate } from "../../../src/shared/x509/certificate.ts";
import { verifyChain } from "../../../src/shared/x509/chain.ts";
import { loadIssuer } from "../../../src/service/x509/issuer.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../../../src/shared/crypto/key_algorithm.ts";
import { randomSerialNumber, signLeaf } from "../../../src/service/x509/leaf_certificate.ts";
import { X509Certificate, X509ChainBuilder } from "../../../src/service/x509/peculiar_x509.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { createSelfSignedCa } from "../../../src/service/x509/self_signed_ca.ts";
import type { Workbench } from "../../support/workbench.ts";

// Other programs look at the machine's clock, and so do these tests.
const now = Temporal.Now.instant();
export interface Pair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface Signed {
  /** Leaf first. */
  readonly chain: Certificate[];
  readonly anchors: Certificate[];
  readonly warnings: string[];
}

/** Signs a leaf with everything in it under a CA from its PEM texts, as the service does. */
export async function signUnder(ca: Pair, algorithm: KeyAlgorithm = "ecdsa-p256"): Promise<Signed> {
  const outcome = await loadIssuer(ca.certificatePem, ca.privateKeyPem, Temporal.Now.instant());
  assert.ok(outcome.kind === "loaded", JSON.stringify(outcome));
  const der = await signLeaf(outcome.issuer, {
    publicKey: (await generateKeyPair(algorithm)).publicKey,
    notBefore: now.subtract({ minutes: 5 }),
    notAfter: now.add({ hours: 1 }),
    serialNumber: randomSerialNumber(),
    extendedKeyUsage: ["serverAuth", "clientAuth"],
    commonName: "web.shop.svc.cluster.local",
    organizationalUnits: ["Shop"],
    dnsNames: ["web.shop.svc.cluster.local", "*.shop.svc"],
    ipAddresses: ["192.0.2.1", "2001:db8::1"],
    uris: ["spiffe://cluster.local/ns/shop/sa/web"],
  });
  const leaf = readCertificate(der);
  assert.ok(leaf);
  const { anchors, warnings, issuer } = outcome;
  return { chain: [leaf, ...issuer.chain], anchors, warnings };
}

const pemOf = (certificates: Certificate[]) =>
  certificates.map(({ der }) => encodePem("CERTIFICATE", der)).join("");

async function writeChain(bench: Workbench, { chain, anchors }: Signed): Promise<void> {
  await bench.write("leaf.pem", pemOf(chain.slice(0, 1)));
  await bench.write("untrusted.pem", pemOf(chain.slice(1)));
  await bench.write("chain.pem", pemOf(chain));
  await bench.write("anchors.pem", pemOf(anchors));
}

export async function verifiesWithOpenssl(
  bench: Workbench,
  signed: Signed,
  options: string[] = [],
) {
  await writeChain(bench, signed);
  const untrusted = signed.chain.length > 1 ? ["-untrusted", "untrusted.pem"] : [];
  const anchors = ["-no-CApath", "-no-CAstore", "-CAfile", "anchors.pem", ...untrusted];
  for (const purpose of ["sslserver", "sslclient"]) {
    const use = ["-purpose", purpose, "-verify_hostname", "a.shop.svc", ...options];
    const { success, output } = await bench.run(
      "openssl",
      "verify",
      ...anchors,
      ...use,
      "leaf.pem",
    );
    if (!success) return output;
  }
  for (const address of ["192.0.2.1", "2001:db8::1"]) {
    await bench.openssl("verify", ...anchors, "-verify_ip", address, "leaf.pem");
  }
}

/** The same by another library's signatures, and by another way of building the chain. */
async function verifyWithSecondEngine({ chain, anchors }: Signed): Promise<void> {
  const engine = new Crypto();
  const [leaf, ...others] = [...chain, ...anchors].map(({ der }) =>
    new X509Certificate(new Uint8Array(der))
  );
  assert.ok(leaf);
  const built = await new X509ChainBuilder({ certificates: others }).build(leaf, engine);
  assert.ok(built.length >= 2);
  for (const [index, { publicKey }] of built.slice(1).entries()) {
    assert.ok(await built[index]?.verify({ publicKey, signatureOnly: true }, engine));
  }
}

export async function verifiesEverywhere(bench: Workbench, signed: Signed): Promise<void> {
  const verdict = await verifyChain(signed.chain, signed.anchors, Temporal.Now.instant());
  assert.deepEqual(verdict, { kind: "verified" });
  assert.equal(await verifiesWithOpenssl(bench, signed), undefined);
  assert.equal(await verifiesWithOpenssl(bench, signed, ["-x509_strict"]), undefined);
  await verifyWithSecondEngine(signed);
}

export async function verifiesWithGnutls(bench: Workbench, signed: Signed): Promise<void> {
  await writeChain(bench, signed);
  const anchors = ["--load-ca-certificate=anchors.pem", "--infile=chain.pem"];
  const use = ["--verify-hostname=web.shop.svc.cluster.local", "--verify-profile=medium"];
  const { success, output } = await bench.run("certtool", "--verify", ...anchors, ...use);
  assert.ok(success, output);
}

export function ownRoot(
  algorithm: Parameters<typeof createSelfSignedCa>[0]["algorithm"],
): Promise<Pair> {
  const validity = { notBefore: now.subtract({ minutes: 5 }), notAfter: now.add({ hours: 24 }) };
  return createSelfSignedCa({ algorithm, commonName: "Our CA", ...validity });
}
