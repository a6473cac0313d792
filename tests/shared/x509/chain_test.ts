import assert from "node:assert/strict";
import fc from "fast-check";
import { type Certificate, readCertificate } from "../../../src/shared/x509/certificate.ts";
import { verifyChain } from "../../../src/shared/x509/chain.ts";
import { Extension, KeyUsageFlags } from "../../../src/service/x509/peculiar_x509.ts";
import { forge, type Forged, type Forging, now } from "../../support/certificate_forge.ts";

const leafOf = (issuer: Forged, forging: Forging = {}) =>
  forge({
    commonName: "leaf",
    issuer,
    ca: false,
    keyUsage: KeyUsageFlags.digitalSignature,
    ...forging,
  });

interface Link {
  readonly certificate: Certificate;
}

async function problemOf(
  chain: Link[],
  anchors: Link[],
  at = now,
  skew?: Temporal.Duration,
): Promise<string | undefined> {
  const certificates = (links: Link[]) => links.map(({ certificate }) => certificate);
  const verdict = await verifyChain(certificates(chain), certificates(anchors), at, skew);
  return verdict.kind === "refused" ? verdict.problem : undefined;
}

Deno.test("a leaf verifies under its root, with the root in the chain or not", async () => {
  const root = await forge();
  const leaf = await leafOf(root);
  assert.equal(await problemOf([leaf], [root]), undefined);
  assert.equal(await problemOf([leaf, root], [root]), undefined);
});

Deno.test("a chain verifies under its root, and under the intermediate as an anchor", async () => {
  const root = await forge();
  const upper = await forge({ commonName: "upper", issuer: root, pathLength: 1 });
  const lower = await forge({ commonName: "lower", issuer: upper, pathLength: 0 });
  const leaf = await leafOf(lower);
  assert.equal(await problemOf([leaf, lower, upper], [root]), undefined);
  assert.equal(await problemOf([leaf, lower], [upper]), undefined);
  assert.equal(await problemOf([leaf, lower], [lower]), undefined);
  assert.match(await problemOf([leaf, lower], [root]) ?? "", /no trust anchor bears the name/);
  assert.match(await problemOf([leaf, upper], [root]) ?? "", /was issued by "CN=lower", but/);
  assert.match(await problemOf([leaf, upper, lower], [root]) ?? "", /"CN=upper" follows it/);
});

Deno.test("of anchors with the same name each is tried, in both orders", async () => {
  const [one, two] = [await forge(), await forge()];
  const leaf = await leafOf(two);
  assert.equal(await problemOf([leaf], [one, two]), undefined);
  assert.equal(await problemOf([leaf], [two, one]), undefined);
  assert.match(await problemOf([leaf], [one]) ?? "", /signature .* is not by the key of/);
});

Deno.test("an expired anchor does not invalidate a good one of the same name and key", async () => {
  const root = await forge();
  const expired = await forge({ keys: root.keys, notAfter: now.subtract({ hours: 1 }) });
  const leaf = await leafOf(root);
  assert.equal(await problemOf([leaf], [expired, root]), undefined);
  assert.match(await problemOf([leaf], [expired]) ?? "", /"CN=Test CA" expired at 2026-03-01T11/);
});

Deno.test("nothing verifies without a leaf or without an anchor", async () => {
  const root = await forge();
  assert.match(await problemOf([], [root]) ?? "", /the chain is empty/);
  assert.match(await problemOf([root], []) ?? "", /no trust anchor/);
});

Deno.test("a name that only looks like the issuer's is not the issuer's", async () => {
  const root = await forge({ commonName: "Root" });
  const other = await forge({ commonName: "root", keys: root.keys });
  assert.match(await problemOf([await leafOf(root)], [other]) ?? "", /no trust anchor bears/);
});

const unfit: [string, Forging, RegExp][] = [
  ["is a leaf", { ca: false }, /is not a CA certificate \(basicConstraints\)/],
  ["has no basicConstraints", { ca: "none" }, /is not a CA certificate \(basicConstraints\)/],
  ["may not sign", { keyUsage: KeyUsageFlags.digitalSignature }, /lacks keyCertSign/],
  ["expired", { notAfter: now.subtract({ hours: 1 }) }, /expired at/],
  ["is not valid yet", { notBefore: now.add({ hours: 1 }) }, /not valid before/],
];

for (const [what, forging, expected] of unfit) {
  Deno.test(`a chain is refused where an intermediate or the anchor ${what}`, async () => {
    const root = await forge();
    const middle = await forge({ commonName: "middle", issuer: root, ...forging });
    const leaf = await leafOf(middle);
    assert.match(await problemOf([leaf, middle], [root]) ?? "", expected);
    const badRoot = await forge(forging);
    assert.match(await problemOf([await leafOf(badRoot)], [badRoot]) ?? "", expected);
  });
}

Deno.test("a path longer than a CA above allows is refused", async () => {
  const root = await forge({ pathLength: 0 });
  assert.equal(await problemOf([await leafOf(root)], [root]), undefined);
  const middle = await forge({ commonName: "middle", issuer: root });
  const leaf = await leafOf(middle);
  assert.match(await problemOf([leaf, middle], [root]) ?? "", /allows 0 CAs below it .* not 1/);
  assert.equal(await problemOf([leaf, middle], [middle]), undefined);
});

Deno.test("a CA that signed itself again does not lengthen the path", async () => {
  const root = await forge({ pathLength: 0 });
  const rollover = await forge({ issuer: root, pathLength: 0 });
  assert.equal(await problemOf([await leafOf(rollover), rollover], [root]), undefined);
});

Deno.test("validity is kept to the second, give or take the skew", async () => {
  const root = await forge();
  const [notBefore, notAfter] = [now.subtract({ minutes: 10 }), now.add({ minutes: 10 })];
  const leaf = await leafOf(root, { notBefore, notAfter });
  const five = Temporal.Duration.from({ minutes: 5 });
  const cases: [Temporal.Instant, Temporal.Duration | undefined, RegExp | undefined][] = [
    [notBefore, undefined, undefined],
    [notAfter, undefined, undefined],
    [notBefore.subtract({ seconds: 1 }), undefined, /is not valid before/],
    [notAfter.add({ seconds: 1 }), undefined, /expired at/],
    [notBefore.subtract({ minutes: 5 }), five, undefined],
    [notAfter.add({ minutes: 5 }), five, undefined],
    [notBefore.subtract({ seconds: 301 }), five, /is not valid before/],
    [notAfter.add({ seconds: 301 }), five, /expired at/],
  ];
  for (const [at, skew, expected] of cases) {
    const problem = await problemOf([leaf], [root], at, skew);
    if (expected) assert.match(problem ?? "", expected);
    else assert.equal(problem, undefined);
  }
});

Deno.test("a critical extension that is not known here is refused, an uncritical one is not", async () => {
  const root = await forge();
  const extension = (critical: boolean) => new Extension("1.2.3.4", critical, new Uint8Array(2));
  const [bad, good] = [
    await leafOf(root, { extensions: [extension(true)] }),
    await leafOf(root, { extensions: [extension(false)] }),
  ];
  assert.match(await problemOf([bad], [root]) ?? "", /critical extension 1\.2\.3\.4/);
  assert.equal(await problemOf([good], [root]), undefined);
});

Deno.test("a CA with critical policies or name constraints is accepted: the peers that connect verify these", async () => {
  const root = await forge();
  for (const type of ["2.5.29.30", "2.5.29.32"]) {
    const extensions = [new Extension(type, true, Uint8Array.of(0x30, 0))];
    const intermediate = await forge({ commonName: "intermediate", issuer: root, extensions });
    const leaf = await leafOf(intermediate);
    assert.equal(await problemOf([leaf, intermediate], [root]), undefined, type);
  }
});

Deno.test("a signature over SHA-1 is refused", async () => {
  const root = await forge();
  const leaf = await leafOf(root, { hash: "SHA-1" });
  assert.match(await problemOf([leaf], [root]) ?? "", /is signed with SHA-1/);
});

Deno.test("no change to a leaf verifies as another certificate, and none throws", async () => {
  const root = await forge();
  const { certificate } = await leafOf(root);
  const { der } = certificate;
  const change = fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }));
  await fc.assert(
    fc.asyncProperty(change, async ([at, difference]) => {
      const changed = new Uint8Array(der);
      changed[at] = (changed[at] ?? 0) ^ difference;
      const read = readCertificate(changed);
      if (read === undefined || await problemOf([{ certificate: read }], [root])) return;
      // What follows the signed part is the signature, which two encodings may express.
      assert.deepEqual({ ...read, der: undefined }, { ...certificate, der: undefined });
    }),
    { numRuns: 300 },
  );
});
