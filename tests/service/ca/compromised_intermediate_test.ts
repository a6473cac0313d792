import assert from "node:assert/strict";
import { chooseSigningCa, nextTrustState as transition } from "../../../src/service/ca/rotation.ts";
import {
  emptyTrustState,
  formatTrustState,
  parseTrustState,
  type TrustState,
} from "../../../src/service/ca/trust_state.ts";
import { type LoadedCa, referenceTo } from "../../../src/service/ca/loaded_ca.ts";
import { forge, type Forged } from "../../support/certificate_forge.ts";
import { compromised, load, nextTrustState, settings, start } from "./rotation_fixture.ts";

const at = { notBefore: start.subtract({ hours: 1 }), notAfter: start.add({ hours: 9000 }) };
const root = await forge({ commonName: "root", ...at });
const below = { issuer: root, ...at };
const first = await forge({ commonName: "first", ...below });
const sameKey = await forge({ commonName: "again", ...below, keys: first.keys });
const belowFirst = await forge({ commonName: "below first", ...at, issuer: first });
const next = await forge({ commonName: "next", ...below });
const other = await forge({ commonName: "other root", ...at });
const crossed = await forge({ commonName: "root", ...at, issuer: other, keys: root.keys });

/** The CA of a Secret, with the certificates above it. */
function ca(own: Forged, above: readonly Forged[] = [root]): Promise<LoadedCa> {
  const certificatePem = [own, ...above].map((one) => one.certificatePem).join("");
  return load({ ...own, certificatePem, furtherAnchorsPem: undefined, compromised: false });
}

const signing = nextTrustState(emptyTrustState, await ca(first), start, settings);
const replaced = nextTrustState(signing, compromised(await ca(next)), start, settings);

/** The state as another replica reads it. */
function read(state: TrustState): TrustState {
  const parsed = parseTrustState(formatTrustState(state));
  assert(parsed.kind === "state");
  return parsed.state;
}

function rejection(state: TrustState, candidate: LoadedCa): string {
  return transition(state, candidate, start, settings).rejection?.problem ?? "accepted";
}

Deno.test("the key of a compromised intermediate CA is rejected below the same root, whatever is above it", async () => {
  for (const state of [replaced, read(replaced)]) {
    assert.equal(state.signing?.fingerprint, (await ca(next)).fingerprint);
    assert.match(rejection(state, await ca(first)), /list of untrusted roots/);
    assert.match(rejection(state, await ca(sameKey)), /"CN=again".* list of untrusted roots/);
    // The same certificate with another chain has another fingerprint.
    assert.match(rejection(state, await ca(first, [crossed, other])), /list of untrusted roots/);
    assert.match(rejection(state, await ca(first, [])), /list of untrusted roots/);
    assert.match(rejection(state, await ca(belowFirst, [first, root])), /list of untrusted roots/);
    assert.equal(rejection(state, await ca(next)), "accepted");
  }
});

Deno.test("a CA with an untrusted key does not sign, also where the document says that it does", async () => {
  const otherChain = await ca(first, []);
  const { longestValidity } = settings;
  const state = { ...replaced, signing: { ...referenceTo(otherChain), longestValidity } };
  const none = { latest: undefined, former: undefined, previous: undefined };
  for (const held of [{ latest: otherChain }, { former: otherChain }, { previous: otherChain }]) {
    assert.equal(chooseSigningCa(state, { ...none, ...held }), undefined);
  }
});

Deno.test("a successor that has the key of a compromised intermediate CA, or is below it, is rejected", async () => {
  for (const state of [signing, read(signing)]) {
    const refusal = / has the key of the former CA, which is marked as compromised: make a CA/;
    assert.match(rejection(state, compromised(await ca(sameKey))), refusal);
    assert.match(rejection(state, compromised(await ca(belowFirst, [first, root]))), refusal);
    assert.equal(rejection(state, await ca(sameKey)), "accepted");
  }
});

Deno.test("the CA that signs is not listed as untrusted when only the certificates above it change", async () => {
  const upper = await forge({ commonName: "upper", ...below });
  const upperAgain = await forge({ commonName: "upper", ...below, keys: upper.keys });
  const own = await forge({ commonName: "own", ...at, issuer: upper });
  const state = read(
    nextTrustState(emptyTrustState, await ca(own, [upper, root]), start, settings),
  );
  const changed = compromised(await ca(own, [upperAgain, root]));
  assert.notEqual(changed.fingerprint, state.signing?.fingerprint);
  const after = nextTrustState(state, changed, start, settings);
  assert.deepEqual(after.untrusted, []);
  assert.equal(after.signing?.fingerprint, changed.fingerprint);
});
