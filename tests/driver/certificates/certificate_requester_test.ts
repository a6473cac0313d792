import assert from "node:assert/strict";
import { CertificateRequester } from "../../../src/driver/certificates/certificate_requester.ts";
import { KeyGenerator } from "../../../src/driver/certificates/key_generator.ts";
import { parseAttributes } from "../../../src/shared/attributes/attribute_parser.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TestIssuer } from "../../support/test_issuer.ts";

const { signal } = new AbortController();
const pod = { namespace: "shop", name: "web-0", uid: "1", serviceAccount: "default" };

/** A requester whose RSA keys take 10 s each, and what a volume requests with it. */
async function slowRequester() {
  const clock = new FakeClock();
  const issuer = await TestIssuer.create(clock);
  const rsaKey = await generateKeyPair("rsa-2048");
  const keys = new KeyGenerator(clock, async (algorithm) => {
    if (algorithm !== "rsa-2048") return await generateKeyPair(algorithm);
    await new Promise<void>((resolve) => void clock.after(10_000, resolve));
    return rsaKey;
  });
  const requester = new CertificateRequester(issuer, keys, clock);
  const request = (
    volumeId: string,
    attributes: Record<string, string>,
    predecessor: string | undefined,
    ending = signal,
  ) => {
    const parsed = parseAttributes(attributes);
    assert.deepEqual(parsed.problems, []);
    const volume = { volumeId, volumeName: "certs", pod, attributes, parsed: parsed.understood };
    return requester.issue({ ...volume, predecessor, privateKeyPem: undefined }, ending);
  };
  return { clock, issuer, request };
}

Deno.test("a renewal with an ECDSA key does not wait for 60 renewals that wait for RSA keys", async () => {
  const { clock, issuer, request } = await slowRequester();
  await using scheduler = new Scheduler({ clock });
  const renewed: string[] = [];
  const schedule = (volumeId: string, attributes: Record<string, string>) =>
    scheduler.schedule(volumeId, clock.now(), async (signal) => {
      const { kind } = await request(volumeId, attributes, "0a", signal);
      renewed.push(`${volumeId} ${kind}`);
      return undefined;
    });
  for (let index = 0; index < 60; index++) {
    schedule(`rsa-${index}`, { "key-algorithm": "rsa", duration: "5m" });
  }
  schedule("ecdsa", { duration: "5m" });
  await clock.until(() => renewed.length > 0);
  assert.deepEqual(renewed, ["ecdsa issued"]);
  for (let index = 0; index < 60; index++) {
    await clock.advance({ seconds: 10 });
    await clock.until(() => renewed.length === index + 2);
  }
  assert.equal(issuer.requests.length, 61);
});

Deno.test("a first certificate waits for 32 renewals at most, however many are due", async () => {
  const { clock, issuer, request } = await slowRequester();
  const released = Promise.withResolvers<void>();
  issuer.answer = async (request) => {
    await released.promise;
    return await issuer.sign(request);
  };
  const renewals = Array.from({ length: 100 }, (_, index) => request(`${index}`, {}, "0a"));
  await clock.until(() => issuer.requests.length === 32);
  const first = request("new", {}, undefined);
  released.resolve();
  assert.equal((await first).kind, "issued");
  const before = issuer.requests.findIndex(({ volumeId }) => volumeId === "new");
  assert.ok(before >= 32 && before < 64, `${before} requests were sent before it`);
  for (const { kind } of await Promise.all(renewals)) assert.equal(kind, "issued");
});
