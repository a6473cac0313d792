import assert from "node:assert/strict";
import { readCertificates } from "../../src/shared/x509/certificate.ts";
import { makeSecret } from "../service/ca/rotation_fixture.ts";
import { forge } from "../support/certificate_forge.ts";
import { delay, followTrust, openEnvironment, rootsOf } from "./rotation_environment.ts";
import { OpenConnection, type TlsProgram } from "./tls_program.ts";

/** Two programs that call each other all the time, over new connections and over one that remains open. */
async function talk(one: TlsProgram, two: TlsProgram) {
  const kept = await one.open(two);
  assert(kept instanceof OpenConnection, String(kept));
  let calls = 0;
  let isOver = false;
  const failures: string[] = [];
  const waiting = new Set<() => void>();
  const talking = (async () => {
    while (!isOver) {
      for (const outcome of [await one.call(two), await two.call(one), await kept.exchange()]) {
        if (outcome !== undefined) failures.push(outcome);
        calls++;
      }
      for (const wake of waiting) wake();
      waiting.clear();
    }
  })();
  return {
    failures,
    get calls() {
      return calls;
    },
    /** Resolves when both have called each other some more times from now on. */
    async continues(): Promise<void> {
      for (const enough = calls + 12; calls < enough;) {
        await new Promise<void>((resolve) => waiting.add(resolve));
      }
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      await talking;
      kept[Symbol.dispose]();
    },
  };
}

const issuerOf = ({ files }: TlsProgram) =>
  /CN=([^,]*)/.exec(readCertificates(files.certificatePem)?.[0]?.issuer ?? "")?.[1];
const secretNow = (commonName: string) => {
  const at = Temporal.Instant.fromEpochMilliseconds(Date.now());
  return makeSecret(commonName, { at });
};

Deno.test("two programs use mutual TLS during a rotation, on old and new certificates, without one failure", async () => {
  await using environment = await openEnvironment(await secretNow("Old"));
  const [one, two] = [await environment.start("one"), await environment.start("two")];
  using _following = followTrust(environment, [one, two]);
  await using conversation = await talk(one, two);
  await conversation.continues();

  environment.putCa(await secretNow("New"));
  await environment.until(() => rootsOf(one) === 2 && rootsOf(two) === 2);
  await conversation.continues();
  // A pod that renews during the delay still gets a certificate of the CA that all pods trust.
  one.reload(await environment.issue("one"));
  assert.equal(issuerOf(one), "Old");
  await conversation.continues();

  await environment.clock.advance(delay);
  await environment.signing("New");
  one.reload(await environment.issue("one"));
  assert.deepEqual([issuerOf(one), issuerOf(two)], ["New", "Old"]);
  await conversation.continues();
  two.reload(await environment.issue("two"));
  await conversation.continues();

  // One minute, the longest validity, and five of tolerance: the old root is removed from all volumes.
  await environment.clock.advance({ minutes: 6 });
  await environment.until(() => rootsOf(one) === 1 && rootsOf(two) === 1);
  await conversation.continues();
  assert.deepEqual(conversation.failures, []);
  assert(conversation.calls >= 72, String(conversation.calls));
});

Deno.test("after a compromised key its certificates are refused at once, and renewed ones are trusted", async () => {
  await using environment = await openEnvironment(await secretNow("Stolen"));
  const [one, two] = [await environment.start("one"), await environment.start("two")];
  using _following = followTrust(environment, [one, two]);
  assert.equal(await one.call(two), undefined);

  environment.putCa({ ...await secretNow("New"), compromised: true });
  await environment.signing("New");
  await environment.until(() => /MII/.test(one.files.trustBundlePem) && rootsOf(one) === 1);
  const [anchor] = environment.currentCa.anchors;
  await environment.until(() =>
    readCertificates(one.files.trustBundlePem)?.[0]?.serialNumber === anchor?.serialNumber
  );
  // Long before they expire, the certificates of the stolen key are no longer accepted.
  assert.notEqual(await one.call(two), undefined);
  assert.notEqual(await two.call(one), undefined);
  one.reload(await environment.issue("one"));
  assert.notEqual(await one.call(two), undefined);
  two.reload(await environment.issue("two"));
  assert.deepEqual([await one.call(two), await two.call(one)], [undefined, undefined]);
  assert.deepEqual([issuerOf(one), issuerOf(two)], ["New", "New"]);
});

Deno.test("an intermediate is in tls.crt and its root in ca.crt, and another intermediate of the same root signs at once", async () => {
  const now = Temporal.Instant.fromEpochMilliseconds(Date.now());
  const valid = { notBefore: now.subtract({ hours: 1 }), notAfter: now.add({ hours: 24 }) };
  const root = await forge({ commonName: "Root", ...valid });
  const intermediate = async (commonName: string) => {
    const { certificatePem, privateKeyPem } = await forge({ commonName, issuer: root, ...valid });
    // As cert-manager fills a Secret: the root in ca.crt alone.
    const furtherAnchorsPem = root.certificatePem;
    return { certificatePem, privateKeyPem, furtherAnchorsPem, compromised: false, version: "1" };
  };
  await using environment = await openEnvironment(await intermediate("First"));
  const [one, two] = [await environment.start("one"), await environment.start("two")];
  const subjects = (pem: string) => readCertificates(pem)?.map(({ commonName }) => commonName);
  assert.deepEqual(subjects(one.files.certificatePem), ["one.shop.svc.cluster.local", "First"]);
  assert.deepEqual(subjects(one.files.trustBundlePem), ["Root"]);
  await using conversation = await talk(one, two);
  await conversation.continues();
  await environment.clock.advance(delay);
  environment.putCa(await intermediate("Second"));
  await environment.signing("Second");
  one.reload(await environment.issue("one"));
  assert.deepEqual([issuerOf(one), issuerOf(two)], ["Second", "First"]);
  await conversation.continues();
  assert.deepEqual(conversation.failures, []);
});
