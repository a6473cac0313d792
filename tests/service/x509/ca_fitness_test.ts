import assert from "node:assert/strict";
import { join } from "node:path";
import { namesRejectionReason } from "../../../src/service/x509/ca_names.ts";
import { loadIssuer } from "../../../src/service/x509/issuer.ts";
import { testWith } from "../../support/workbench.ts";
import { makeCertificate, openssl, type OpensslCa } from "./openssl_ca.ts";

const root: OpensslCa = { name: "root" };
const below = (issuer: OpensslCa, more: Partial<OpensslCa> = {}): OpensslCa => ({
  name: "ca",
  issuer,
  ...more,
});
const self = (extensions: Record<string, string>, more: Partial<OpensslCa> = {}): OpensslCa => ({
  name: "ca",
  extensions,
  ...more,
});
const rsa1024 = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
const p521 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
const names = {
  servingName: "cert-service.csi-cert-driver.internal",
  clusterDomain: "cluster.local",
};
const bothDomains = "critical,permitted;DNS:cluster.local,permitted;DNS:csi-cert-driver.internal";

interface Case {
  /** The CA, whose key signs. */
  readonly ca: OpensslCa;
  /** The files that follow it in the PEM; by default its issuers. */
  readonly others?: readonly OpensslCa[];
  /** Why it is refused; absent: it is accepted. */
  readonly refused?: RegExp;
  readonly warned?: readonly RegExp[];
  /** Whether OpenSSL accepts a leaf below it for a server, without and with -x509_strict. */
  readonly openssl: readonly [plain: boolean, strict: boolean];
}

const cases: Readonly<Record<string, Case>> = {
  "a proper root": { ca: self({}), openssl: [true, true] },
  "a proper intermediate": { ca: below(root), openssl: [true, true] },
  "an intermediate without its root": {
    ca: below(root),
    others: [],
    warned: [/issuer of .*"CN=ca", "CN=root", is missing; .*"CN=ca" itself is published/],
    openssl: [true, true],
  },
  "an intermediate beside another root": {
    ca: below(root),
    others: [{ name: "other" }],
    refused:
      /no root in its PEM: the certificate of the issuer of .*"CN=ca", "CN=root", is missing/,
    openssl: [true, true],
  },
  "a chain without its middle": {
    ca: below({ name: "middle", issuer: root }),
    others: [root],
    refused:
      /the certificate of the issuer of .*"CN=ca", "CN=middle", is missing; add an intermediate/,
    openssl: [true, true],
  },
  "a root of the same name and another key": {
    ca: below(root),
    others: [{ name: "rekeyed", subject: "/CN=root" }],
    refused: /"CN=root" has the name of the issuer of .*"CN=ca", but did not sign it: its key is/,
    openssl: [true, true],
  },
  "an expired root": {
    ca: below({ name: "root", days: 1 }),
    refused: /no root in its PEM: the certificate "CN=root" expired at .*; give one that is valid$/,
    openssl: [false, false],
  },
  "an expired intermediate": {
    ca: below({ name: "middle", issuer: root, days: 1 }),
    refused: /chain cannot be used: the certificate "CN=middle" expired at/,
    openssl: [false, false],
  },
  "a root that is no CA": {
    ca: below({ name: "root", extensions: { basicConstraints: "critical,CA:FALSE" } }),
    refused: /no root in its PEM: the certificate "CN=root" is not a CA/,
    openssl: [false, false],
  },
  "a root that permits no CA below it": {
    ca: below({ name: "root", extensions: { basicConstraints: "critical,CA:TRUE,pathlen:0" } }),
    refused: /no root in its PEM: .*"CN=root" allows 0 CAs below it \(pathLenConstraint\), not 1/,
    openssl: [false, false],
  },
  "a root on P-521": { ca: below({ name: "root", key: p521 }), openssl: [true, true] },
  "a root on a curve that is not supported": {
    ca: below({ name: "root", key: ["-algorithm", "ED448"], digest: "shake256" }),
    refused: /"CN=root" has a key of a type that is not supported; supported are ECDSA/,
    openssl: [true, true],
  },
  "an intermediate that is signed with SHA-1": {
    ca: below(root, { digest: "sha1" }),
    refused: /"CN=ca" is signed with SHA-1; issue it again/,
    openssl: [true, true],
  },
  "a root with RSA-1024": {
    ca: below({ name: "root", key: rsa1024 }),
    refused: /"CN=root" has an RSA key of 1024 bits, and verifiers reject fewer than 2048/,
    openssl: [true, true],
  },
  "a root for code signing": {
    ca: below({ name: "root", extensions: { extendedKeyUsage: "codeSigning" } }),
    refused: /"CN=root" has an extendedKeyUsage without serverAuth: verifiers reject every server/,
    openssl: [false, false],
  },
  "a CA for servers only": {
    ca: self({ extendedKeyUsage: "serverAuth" }),
    warned: [/without clientAuth: verifiers reject pods as TLS clients/],
    openssl: [true, true],
  },
  "a CA for any purpose": {
    ca: self({ extendedKeyUsage: "anyExtendedKeyUsage" }),
    warned: [/anyExtendedKeyUsage alone: OpenSSL rejects its leaves/],
    openssl: [false, false],
  },
  "a self-signed root with an unknown critical extension": {
    ca: self({ "1.2.3.4": "critical,ASN1:NULL" }),
    refused: /"CN=ca" has the critical extension 1\.2\.3\.4, which verifiers do not know/,
    openssl: [false, false],
  },
  "basicConstraints that are not critical": {
    ca: self({ basicConstraints: "CA:TRUE" }),
    warned: [/basicConstraints that are not critical: strict verifiers reject its leaves/],
    openssl: [true, false],
  },
  "an empty subject": {
    ca: self({}, { subject: "/" }),
    refused: /has an empty subject, which a CA may not have/,
    openssl: [true, false],
  },
  "a negative serial number": {
    ca: self({}, { serial: "-5" }),
    refused: /has a negative serial number, and Go does not read it/,
    openssl: [true, true],
  },
  "the serial number 0": {
    ca: self({}, { serial: "0" }),
    warned: [/has the serial number 0/],
    openssl: [true, true],
  },
  "constraints that permit both domains": {
    ca: below({ name: "root", extensions: { nameConstraints: bothDomains } }),
    warned: [/"CN=root" has nameConstraints: a pod's name outside them is left out/],
    openssl: [true, true],
  },
  "constraints without the serving name": {
    ca: below({
      name: "root",
      extensions: { nameConstraints: "critical,permitted;DNS:cluster.local" },
    }),
    refused: new RegExp(
      '^the CA cannot certify the service\'s own name: "cert-service.csi-cert-driver.internal" is ' +
        'outside the name constraints of the certificate "CN=root", which permit only DNS ' +
        '"cluster.local"; set SERVING_NAME to a name that they permit',
    ),
    openssl: [true, true],
  },
  "constraints without the pods' domain": {
    ca: self({ nameConstraints: "critical,permitted;DNS:csi-cert-driver.internal" }),
    refused:
      /^the CA cannot certify pods: their names, such as "pod\.namespace\.svc\.cluster\.local"/,
    openssl: [false, false],
  },
  "constraints that exclude the pods' domain": {
    ca: self({ nameConstraints: "critical,excluded;DNS:local" }),
    refused: /cannot certify pods: .* is excluded by the name constraints of .* \(DNS "local"\)/,
    openssl: [false, false],
  },
  "constraints on the subject": {
    ca: self({ nameConstraints: "critical,permitted;dirName:dir", "[dir]": "O = Corp" }),
    refused: /"cert-service\..* is outside the name .* permit only directory name "O=Corp"/,
    openssl: [false, false],
  },
  "an intermediate whose subject the root does not permit": {
    ca: below({
      name: "root",
      extensions: { nameConstraints: "permitted;dirName:dir", "[dir]": "O = Corp" },
    }),
    refused: /^the subject of .*"CN=ca" is outside the name constraints of .*"CN=root"/,
    openssl: [false, false],
  },
};

const leaf = {
  subjectAltName: "DNS:web-0.shop.svc.cluster.local",
  keyUsage: "critical,digitalSignature",
};

for (
  const [what, { ca, others, refused, warned = [], openssl: expected }] of Object.entries(cases)
) {
  testWith(
    "openssl",
    `a CA that is ${what}: ${refused ? "refused with its reason" : "accepted"}`,
    async ({ path }) => {
      const issuers: OpensslCa[] = [];
      for (let one = ca.issuer; one !== undefined; one = one.issuer) issuers.push(one);
      for (const one of [ca, ...others ?? []]) await makeCertificate(path, one);
      const read = (file: string) => Deno.readTextFile(join(path, file));
      const pem = await Promise.all(
        [ca, ...others ?? issuers].map(({ name }) => read(`${name}.crt`)),
      );
      const at = Temporal.Now.instant().add({ hours: 48 });
      const loaded = await loadIssuer(pem.join(""), await read("ca.key"), at);
      const problem = loaded.kind === "refused" ? loaded.problem : namesRejectionReason(
        { chain: [loaded.issuer.certificate, ...loaded.issuer.chain], roots: loaded.anchors },
        names,
      );
      if (refused === undefined) assert.equal(problem, undefined);
      else assert.match(problem ?? "accepted", refused);
      const warnings = loaded.kind === "loaded" && refused === undefined ? loaded.warnings : [];
      assert.equal(warnings.length, warned.length, warnings.join("\n"));
      for (const [index, pattern] of warned.entries()) assert.match(warnings[index] ?? "", pattern);
      assert.deepEqual(await opensslVerdicts(path, ca, issuers, at), expected);
    },
  );
}

/** Whether OpenSSL accepts a leaf of the CA, with the true issuers as roots and intermediates. */
async function opensslVerdicts(
  path: string,
  ca: OpensslCa,
  issuers: readonly OpensslCa[],
  at: Temporal.Instant,
): Promise<[boolean, boolean]> {
  const extensions = { ...leaf, basicConstraints: "CA:FALSE", extendedKeyUsage: "serverAuth" };
  const subject = "/CN=web-0.shop.svc.cluster.local";
  await makeCertificate(path, { name: "leaf", issuer: ca, extensions, subject });
  const above = [ca, ...issuers];
  const anchor = above.at(-1) ?? ca;
  const untrusted = above.slice(0, -1).flatMap(({ name }) => ["-untrusted", `${name}.crt`]);
  const verify = async (...more: string[]) => {
    const args = ["-attime", `${Math.floor(at.epochMilliseconds / 1000)}`, "-purpose", "sslserver"];
    const trusted = ["-CAfile", `${anchor.name}.crt`];
    const { success } = await openssl(
      path,
      "verify",
      ...args,
      ...more,
      ...trusted,
      ...untrusted,
      "leaf.crt",
    );
    return success;
  };
  return [await verify(), await verify("-x509_strict")];
}
