import assert from "node:assert/strict";
import type { KeyAlgorithm } from "../../../src/shared/crypto/key_algorithm.ts";
import {
  ownRoot,
  signUnder,
  verifiesEverywhere,
  verifiesWithGnutls,
  verifiesWithOpenssl,
} from "./verifiers.ts";
import { testWith } from "../../support/workbench.ts";

const strictly = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];

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

for (const algorithm of ["ecdsa-p256", "ecdsa-p384", "rsa-2048"] as const) {
  testWith("openssl", `a leaf of our own ${algorithm} root verifies everywhere`, async (bench) => {
    await verifiesEverywhere(bench, await signUnder(await ownRoot(algorithm)));
  });
}

testWith(
  "openssl",
  "a CA of the plain openssl command is accepted with a suggestion",
  async (bench) => {
    const signed = await signUnder(await bench.opensslCa(["-newkey", "rsa:4096"]));
    assert.equal(signed.warnings.length, 1);
    assert.match(signed.warnings[0] ?? "", /-addext keyUsage=critical,keyCertSign,cRLSign/);
    assert.equal(await verifiesWithOpenssl(bench, signed), undefined);
    // A strict verifier fails with the problem that the warning names.
    const strict = await verifiesWithOpenssl(bench, signed, ["-x509_strict"]);
    assert.match(strict ?? "", /does not include key usage/);
  },
);

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
  "a leaf of a CA without a key identifier verifies, but not strictly",
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
