import assert from "node:assert/strict";
import { FileIdentity } from "../../../src/driver/service_client/file_identity.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";
import { TestCa, type TestPair } from "../../../scripts/support/test_ca.ts";

/** Files in a folder, a clock that starts now, and pairs of a CA that live for an hour. */
async function open() {
  const folder = await temporaryFolder();
  const ca = await TestCa.create();
  const files = {
    certificateFile: `${folder.path}/tls.crt`,
    privateKeyFile: `${folder.path}/tls.key`,
  };
  return {
    files,
    clock: new FakeClock(Temporal.Now.instant()),
    pair: () => ca.issue("spiffe://cluster.local/csi-cert-node/node-1"),
    write: async ({ certificatePem, privateKeyPem }: Partial<TestPair>) => {
      if (certificatePem) await Deno.writeTextFile(files.certificateFile, certificatePem);
      if (privateKeyPem) await Deno.writeTextFile(files.privateKeyFile, privateKeyPem);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

Deno.test("files that were replaced are used within half a minute, and those that follow are called", async () => {
  await using opened = await open();
  const { clock, files, pair, write } = opened;
  const [first, second] = [await pair(), await pair()];
  await write(first);
  using identity = FileIdentity.open(files, clock);
  let changes = 0;
  identity.onChange(() => changes++);
  const before = identity.current();
  assert.equal(before?.certificatePem, first.certificatePem);
  await clock.advance({ minutes: 5 });
  assert.equal(identity.current(), before);
  await write(second);
  await clock.advance({ seconds: 30 });
  assert.equal(identity.current()?.privateKeyPem, second.privateKeyPem);
  assert.equal(changes, 1);
});

Deno.test("a refused identity has its files read at once", async () => {
  for (const observation of ["unauthenticated", "unreachable"] as const) {
    await using opened = await open();
    const { clock, files, pair, write } = opened;
    await write(await pair());
    using identity = FileIdentity.open(files, clock);
    const second = await pair();
    await write(second);
    identity.report("answered");
    assert.notEqual(identity.current()?.certificatePem, second.certificatePem);
    identity.report(observation);
    assert.equal(identity.current()?.certificatePem, second.certificatePem);
  }
});

Deno.test("after half of a replacement, or with missing files, the last pair remains in use and the files are named", async () => {
  await using opened = await open();
  const { clock, files, pair, write } = opened;
  const [first, second] = [await pair(), await pair()];
  await write(first);
  using identity = FileIdentity.open(files, clock);
  await write({ certificatePem: second.certificatePem });
  await clock.advance({ seconds: 30 });
  assert.equal(identity.current()?.certificatePem, first.certificatePem);
  assert.match(identity.problem ?? "", /do not match.*CERT_SERVICE_CLIENT_CERT_FILE and/);
  await write({ privateKeyPem: second.privateKeyPem });
  await clock.advance({ seconds: 30 });
  assert.equal(identity.current()?.certificatePem, second.certificatePem);
  assert.equal(identity.problem, undefined);
  await Deno.remove(files.privateKeyFile);
  await clock.advance({ seconds: 30 });
  assert.equal(identity.current()?.certificatePem, second.certificatePem);
  assert.match(identity.problem ?? "", /tls\.key \(CERT_SERVICE_CLIENT_KEY_FILE\) does not exist$/);
});

Deno.test("files that are written late are read when they are needed", async () => {
  await using opened = await open();
  const { clock, files, pair, write } = opened;
  using identity = FileIdentity.open(files, clock);
  assert.equal(identity.current(), undefined);
  assert.match(identity.problem ?? "", /CERT_SERVICE_CLIENT_CERT_FILE\) does not exist$/);
  await write(await pair());
  assert.notEqual(identity.current(), undefined);
});

Deno.test("a certificate in files says when it is about to expire, and a disposed identity has no timer", async () => {
  await using opened = await open();
  const { clock, files, pair, write } = opened;
  await write(await pair());
  const identity = FileIdentity.open(files, clock);
  const expiring = identity.current()?.expiring;
  await clock.advance({ minutes: 59 });
  assert.equal(expiring?.aborted, false);
  await clock.advance({ minutes: 1 });
  assert.equal(expiring?.aborted, true);
  identity[Symbol.dispose]();
  assert.equal(clock.timers, 0);
});
