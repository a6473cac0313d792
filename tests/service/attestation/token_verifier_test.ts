import assert from "node:assert/strict";
import { ApiTokens } from "../../../scripts/support/api_tokens.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { KeySetCache } from "../../../src/service/attestation/key_set_cache.ts";
import { parseServiceAccountToken } from "../../../src/service/attestation/service_account_token.ts";
import { TokenVerifier } from "../../../src/service/attestation/token_verifier.ts";
import { openThreadedVerifier } from "../../../src/service/openssl/threaded_verifier.ts";
import { account } from "./attestation_fixture.ts";

function open() {
  const clock = new FakeClock(Temporal.Now.instant());
  const tokens = new ApiTokens();
  const text = () => JSON.stringify(tokens.keySet());
  const source = { read: () => Promise.resolve({ kind: "answer" as const, text: text() }) };
  const parse = () => {
    const parsed = parseServiceAccountToken(tokens.make(), account, clock.now());
    assert.ok(parsed.kind === "token");
    return parsed.token;
  };
  return { tokens, keys: new KeySetCache({ source, clock }), parse };
}

const { signal } = new AbortController();

Deno.test("at most eight signatures are verified at once, and one that waits can leave", async () => {
  const { keys, parse } = open();
  let [running, most] = [0, 0];
  const gate = Promise.withResolvers<void>();
  const engine = {
    verify: async () => {
      most = Math.max(most, ++running);
      await gate.promise;
      running--;
      return true;
    },
  };
  const verifier = new TokenVerifier({ keys, engine });
  const token = parse();
  const verifications = Array.from({ length: 20 }, () => verifier.verify(token, signal));
  const leaving = new AbortController();
  const left = verifier.verify(token, leaving.signal);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(running, 8);
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  gate.resolve();
  assert.ok((await Promise.all(verifications)).every((signature) => signature === "good"));
  assert.equal(most, 8);
});

for (const kind of ["RS256", "ES256", "ES384", "ES512"] as const) {
  Deno.test(`many ${kind} signatures are verified at once with one key, on other threads`, async () => {
    const { tokens, keys, parse } = open();
    tokens.addKey("key", kind);
    const verifier = new TokenVerifier({ keys, engine: openThreadedVerifier() });
    const token = parse();
    const changed = token.signature.slice();
    changed[9] = (changed[9] ?? 0) ^ 1;
    const all = Array.from(
      { length: 100 },
      (_, index) => verifier.verify(index % 2 ? token : { ...token, signature: changed }, signal),
    );
    const expected = all.map((_, index) => index % 2 ? "good" : "bad");
    assert.deepEqual(await Promise.all(all), expected);
    const short = { ...token, signature: token.signature.subarray(1) };
    assert.equal(await verifier.verify(short, signal), "bad");
  });
}
