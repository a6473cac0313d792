import assert from "node:assert/strict";
import { Crypto } from "@peculiar/webcrypto";
import { type Certificate, readCertificate } from "../../src/x509/certificate.ts";
import { verifyChain } from "../../src/x509/chain.ts";
import { loadIssuer } from "../../src/x509/issuer.ts";
import { generateKeyPair, type KeyAlgorithm } from "../../src/x509/keys.ts";
import { randomSerialNumber, signLeaf } from "../../src/x509/leaf.ts";
import { X509Certificate, X509ChainBuilder } from "../../src/x509/peculiar.ts";
import { encodePem } from "../../src/x509/pem.ts";
import { createRoot } from "../../src/x509/root.ts";
import { testWith, type Workbench } from "./workbench.ts";

// Other programs look at the machine's clock, and so do these tests.
const now = Temporal.Now.instant();
const strictly = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];

interface Pair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

interface Signed {
  /** Leaf first. */
  readonly chain: Certificate[];
  readonly anchors: Certificate[];
  readonly warnings: string[];
}

/** Signs a leaf with everything in it under a CA from its PEM texts, as the service does. */
async function signUnder(ca: Pair, algorithm: KeyAlgorithm = "ecdsa-p256"): Promise<Signed> {
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

async function verifiesWithOpenssl(bench: Workbench, signed: Signed, options: string[] = []) {
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

async function verifiesEverywhere(bench: Workbench, signed: Signed): Promise<void> {
  const verdict = await verifyChain(signed.chain, signed.anchors, Temporal.Now.instant());
  assert.deepEqual(verdict, { kind: "verified" });
  assert.equal(await verifiesWithOpenssl(bench, signed), undefined);
  assert.equal(await verifiesWithOpenssl(bench, signed, ["-x509_strict"]), undefined);
  await verifyWithSecondEngine(signed);
}

const ecdsa = (curve: string) => ["-newkey", "ec", "-pkeyopt", `ec_paramgen_curve:${curve}`];
const authorities: [string, KeyAlgorithm, string[]][] = [
  ["P-256", "rsa-2048", ecdsa("P-256")],
  ["P-384", "ecdsa-p384", ecdsa("P-384")],
  ["RSA-2048", "ed25519", ["-newkey", "rsa:2048"]],
  ["RSA-3072", "ecdsa-p256", ["-newkey", "rsa:3072"]],
  ["RSA-4096", "ecdsa-p256", ["-newkey", "rsa:4096"]],
  ["Ed25519", "ecdsa-p256", ["-newkey", "ed25519"]],
];

for (const [name, algorithm, options] of authorities) {
  testWith("openssl", `a leaf of openssl's ${name} CA verifies everywhere`, async (bench) => {
    const ca = await bench.opensslCa([...options, ...strictly]);
    const signed = await signUnder(ca, algorithm);
    assert.deepEqual(signed.warnings, []);
    await verifiesEverywhere(bench, signed);
  });
}

for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"] as const) {
  testWith("certtool", `GnuTLS verifies a leaf of our own ${algorithm} root`, async (bench) => {
    await verifiesWithGnutls(bench, await signUnder(await ownRoot(algorithm)));
  });
}

for (const options of [["--key-type=rsa", "--bits=3072"], ["--key-type=ed25519"]]) {
  testWith(
    "certtool",
    `GnuTLS verifies a leaf of its own CA (${options.join(" ")})`,
    async (bench) => {
      await bench.write("template", "cn = GnuTLS CA\nca\ncert_signing_key\nexpiration_days = 9\n");
      await bench.run("certtool", "--generate-privkey", "--no-text", ...options, "--outfile=key");
      const request = ["--template=template", "--load-privkey=key", "--outfile=crt", "--no-text"];
      await bench.run("certtool", "--generate-self-signed", ...request);
      const ca = {
        certificatePem: await bench.read("crt"),
        privateKeyPem: await bench.read("key"),
      };
      await verifiesWithGnutls(bench, await signUnder(ca));
    },
  );
}

async function verifiesWithGnutls(bench: Workbench, signed: Signed): Promise<void> {
  await writeChain(bench, signed);
  const anchors = ["--load-ca-certificate=anchors.pem", "--infile=chain.pem"];
  const use = ["--verify-hostname=web.shop.svc.cluster.local", "--verify-profile=medium"];
  const { success, output } = await bench.run("certtool", "--verify", ...anchors, ...use);
  assert.ok(success, output);
}

function ownRoot(algorithm: Parameters<typeof createRoot>[0]["algorithm"]): Promise<Pair> {
  const validity = { notBefore: now.subtract({ minutes: 5 }), notAfter: now.add({ hours: 24 }) };
  return createRoot({ algorithm, commonName: "Our CA", ...validity });
}

for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "rsa-2048"] as const) {
  testWith("openssl", `a leaf of our own ${algorithm} root verifies everywhere`, async (bench) => {
    await verifiesEverywhere(bench, await signUnder(await ownRoot(algorithm)));
  });
}

testWith("openssl", "a CA of the plain openssl command is taken, with the mend", async (bench) => {
  const signed = await signUnder(await bench.opensslCa(["-newkey", "rsa:4096"]));
  assert.equal(signed.warnings.length, 1);
  assert.match(signed.warnings[0] ?? "", /-addext keyUsage=critical,keyCertSign,cRLSign/);
  assert.equal(await verifiesWithOpenssl(bench, signed), undefined);
  // What the warning says does happen, and the mend is what mends it.
  const strict = await verifiesWithOpenssl(bench, signed, ["-x509_strict"]);
  assert.match(strict ?? "", /does not include key usage/);
});

const keyForms: [string, string[][]][] = [
  ["PKCS #1", [
    ["genrsa", "-traditional", "-out", "own.key", "2048"],
  ]],
  ["SEC 1 behind EC PARAMETERS", [
    ["ecparam", "-name", "secp384r1", "-genkey", "-out", "own.key"],
  ]],
  ["SEC 1", [
    ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "own.key"],
  ]],
];

for (const [form, commands] of keyForms) {
  testWith("openssl", `a CA whose key is ${form} signs leaves that verify`, async (bench) => {
    for (const command of commands) await bench.openssl(...command);
    const ca = await bench.opensslCa(["-key", "own.key", ...strictly]);
    await verifiesEverywhere(bench, await signUnder(ca));
  });
}

testWith("openssl", "a leaf of a CA with a key identifier of its own verifies", async (bench) => {
  const identifier = ["-addext", "subjectKeyIdentifier=0102030405"];
  const noAki = ["-addext", "authorityKeyIdentifier=none"];
  const ca = await bench.opensslCa([...ecdsa("P-256"), ...strictly, ...identifier, ...noAki]);
  await verifiesEverywhere(bench, await signUnder(ca));
});

testWith(
  "openssl",
  "a leaf of a CA without a key identifier verifies, not strictly",
  async (bench) => {
    const none = ["-addext", "subjectKeyIdentifier=none"];
    const signed = await signUnder(
      await bench.opensslCa([...ecdsa("P-256"), ...strictly, ...none]),
    );
    assert.match(signed.warnings.join(), /subjectKeyIdentifier=hash/);
    assert.equal(await verifiesWithOpenssl(bench, signed), undefined);
    const strict = await verifiesWithOpenssl(bench, signed, ["-x509_strict"]);
    assert.match(strict ?? "", /Missing Authority Key Identifier/);
  },
);

testWith(
  "openssl",
  "a leaf verifies among two anchors with one name, in both orders",
  async (bench) => {
    const [old, current] = [
      await bench.opensslCa([...ecdsa("P-256"), ...strictly]),
      await bench.opensslCa([...ecdsa("P-256"), ...strictly]),
    ];
    const certificatePem = current.certificatePem + old.certificatePem;
    const signed = await signUnder({ ...current, certificatePem });
    assert.equal(signed.anchors.length, 2);
    await verifiesEverywhere(bench, signed);
    await verifiesEverywhere(bench, { ...signed, anchors: signed.anchors.toReversed() });
  },
);

const names = ['/C=DE/O=Büro, "A" \\+ B/CN=Käse', "/DC=com/emailAddress=a@b.example/CN=x"];
const nameForms: [string, string][] = [["utf8only", "UTF-8"], ["MASK:2048", "BMPString"]];

for (const [mask, form] of nameForms) {
  testWith(
    "openssl",
    `an issuer's names in ${form} are copied so that openssl finds it`,
    async (bench) => {
      await bench.write("cnf", `[req]\nstring_mask=${mask}\ndistinguished_name=dn\n[dn]\n`);
      const ca = ["-addext", "basicConstraints=critical,CA:TRUE", ...strictly];
      const identifier = ["-addext", "subjectKeyIdentifier=hash"];
      for (const name of names) {
        const options = [...ecdsa("P-256"), "-utf8", "-subj", name, "-config", "cnf"];
        const pair = await bench.opensslCa([...options, ...ca, ...identifier]);
        await verifiesEverywhere(bench, await signUnder(pair));
      }
    },
  );
}

const roots: [string, string[]][] = [
  ["P-384, signing with SHA-256", [...ecdsa("P-384"), "-sha256"]],
  ["P-521", ecdsa("P-521")],
  ["RSA-PSS", ["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss"]],
];

for (const [name, options] of roots) {
  testWith(
    "openssl",
    `an intermediate under a root of ${name} goes into the chain`,
    async (bench) => {
      const root = await bench.opensslCa([...options, ...strictly]);
      await bench.write(
        "extensions",
        [
          "basicConstraints=critical,CA:TRUE,pathlen:0",
          "keyUsage=critical,keyCertSign",
          "subjectKeyIdentifier=hash",
          "authorityKeyIdentifier=keyid",
        ].join("\n"),
      );
      const request = ["-subj", "/CN=Intermediate", "-nodes", "-keyout", "i.key", "-out", "i.csr"];
      await bench.openssl("req", "-new", ...ecdsa("P-256"), ...request);
      const signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-days", "9", "-extfile", "extensions"];
      const padding = options.slice(options.indexOf("-sigopt")).filter(() => name === "RSA-PSS");
      await bench.openssl("x509", "-req", "-in", "i.csr", "-out", "i.crt", ...signing, ...padding);
      const signed = await signUnder({
        certificatePem: await bench.read("i.crt") + root.certificatePem,
        privateKeyPem: await bench.read("i.key"),
      });
      assert.deepEqual(signed.chain.map(({ commonName }) => commonName).slice(1), ["Intermediate"]);
      assert.deepEqual(signed.anchors.map(({ commonName }) => commonName), ["Test CA"]);
      assert.deepEqual(signed.warnings, []);
      await verifiesEverywhere(bench, signed);
    },
  );
}
