import assert from "node:assert/strict";
import fc from "fast-check";
import type { LoadedCa } from "../../../src/service/ca/loaded_ca.ts";
import {
  chooseSigningCa,
  nextChange,
  nextTrustState as transition,
} from "../../../src/service/ca/rotation.ts";
import {
  emptyTrustState,
  formatTrustState,
  lastExpiry,
  parseTrustState,
  type TrustState,
} from "../../../src/service/ca/trust_state.ts";
import { computeFingerprint } from "../../../src/shared/x509/fingerprint.ts";
import {
  compromised,
  load,
  makeSecret,
  nextTrustState,
  settings,
  start,
} from "./rotation_fixture.ts";
import { comparable } from "../../support/comparable.ts";

const cas = await Promise.all(
  ["A", "B", "C"].map(async (name) => await load(await makeSecret(name))),
);
const [a, b, c] = cas as [LoadedCa, LoadedCa, LoadedCa];
const after = (duration: Temporal.DurationLike) => start.add(duration);
const subjects = (state: TrustState) =>
  state.anchors.map(({ certificate }) => certificate.commonName);
const first = nextTrustState(emptyTrustState, a, start, settings);

function assertSameState(actual: TrustState, expected: TrustState): void {
  assert.deepEqual(comparable(actual), comparable(expected));
}

Deno.test("the first CA signs at once and is trusted for good", () => {
  assert.equal(first.signing?.fingerprint, a.fingerprint);
  assert.equal(first.pending, undefined);
  assert.deepEqual(subjects(first), ["A"]);
  assert.equal(nextChange(first), undefined);
});

Deno.test("a new CA is published at once, signs after the delay, and the old one retires after the longest validity", () => {
  const published = nextTrustState(first, b, after({ hours: 1 }), settings);
  assert.deepEqual(subjects(published), ["A", "B"]);
  assert.equal(published.signing?.fingerprint, a.fingerprint);
  assert.equal(String(nextChange(published)), "2026-03-01T13:10:00Z");
  const switched = nextTrustState(published, undefined, after({ hours: 1, minutes: 10 }), settings);
  assert.equal(switched.signing?.fingerprint, b.fingerprint);
  assert.equal(switched.pending, undefined);
  assert.deepEqual(subjects(switched), ["A", "B"]);
  // 720 h after the switch, and 5 minutes for clocks that are apart.
  assert.equal(String(nextChange(switched)), "2026-03-31T13:15:00Z");
  const end = Temporal.Instant.from("2026-03-31T13:15:00Z");
  assert.deepEqual(subjects(nextTrustState(switched, undefined, end, settings)), ["B"]);
});

Deno.test("what a compromised key signed is no longer trusted at once, and the new CA signs at once", () => {
  const state = nextTrustState(first, compromised(b), after({ hours: 1 }), settings);
  assert.deepEqual(subjects(state), ["B"]);
  assert.equal(state.signing?.fingerprint, b.fingerprint);
  // In the middle of a rotation too, and when the annotation comes after the switch.
  const pending = nextTrustState(first, b, after({ hours: 1 }), settings);
  assert.deepEqual(
    nextTrustState(pending, compromised(b), after({ hours: 1 }), settings).pending,
    undefined,
  );
  const switched = nextTrustState(pending, undefined, after({ hours: 2 }), settings);
  assert.deepEqual(
    subjects(nextTrustState(switched, compromised(b), after({ hours: 3 }), settings)),
    [
      "B",
    ],
  );
});

Deno.test("further anchors are published with a CA, but not published again with a CA whose previous one is compromised", () => {
  const withFurther = { ...b, furtherAnchors: a.anchors };
  assert.deepEqual(subjects(nextTrustState(emptyTrustState, withFurther, start, settings)), [
    "B",
    "A",
  ]);
  const state = nextTrustState(first, compromised(withFurther), start, settings);
  assert.deepEqual(subjects(state), ["B"]);
  assertSameState(
    nextTrustState(state, compromised(withFurther), after({ hours: 1 }), settings),
    state,
  );
});

Deno.test("a CA whose anchor was published ahead needs no further delay", () => {
  const ahead = nextTrustState(
    emptyTrustState,
    { ...a, furtherAnchors: b.anchors },
    start,
    settings,
  );
  const state = nextTrustState(ahead, b, after({ minutes: 30 }), settings);
  assert.equal(state.signing?.fingerprint, b.fingerprint);
  assert.equal(String(nextChange(state)), "2026-03-31T12:35:00Z");
});

Deno.test("giving the CA that signs again cancels the pending one", () => {
  const published = nextTrustState(first, b, after({ hours: 1 }), settings);
  const back = nextTrustState(published, a, after({ hours: 1, minutes: 5 }), settings);
  assert.equal(back.pending, undefined);
  assert.equal(back.signing?.fingerprint, a.fingerprint);
  // B's anchor has been published since 13:00, so B, given again, does not wait for the whole delay.
  const again = nextTrustState(back, b, after({ hours: 1, minutes: 6 }), settings);
  assert.equal(String(again.pending?.switchAt), "2026-03-01T13:10:00Z");
});

Deno.test("a longer validity that policy allows meanwhile keeps the old anchor published for longer", () => {
  const published = nextTrustState(first, b, after({ hours: 1 }), settings);
  const longer = { ...settings, longestValidity: Temporal.Duration.from({ hours: 2160 }) };
  const state = nextTrustState(published, undefined, after({ hours: 1, minutes: 1 }), longer);
  // Back to the shorter one: what was signed meanwhile still counts.
  const switched = nextTrustState(state, undefined, after({ hours: 2 }), settings);
  assert.equal(String(nextChange(switched)), String(after({ hours: 1 + 2160, minutes: 15 })));
});

Deno.test("the last expiry is that of what the CAs signed when the policy permitted a longer validity", () => {
  const until = (state: TrustState, now: Temporal.Instant) => now.until(lastExpiry(state, now));
  assert.equal(until(emptyTrustState, start).total("hours"), 0);
  const longer = { ...settings, longestValidity: Temporal.Duration.from({ hours: 2160 }) };
  const allowed = nextTrustState(first, undefined, after({ hours: 1 }), longer);
  const stricter = nextTrustState(allowed, undefined, after({ hours: 2 }), settings);
  assert.equal(until(stricter, after({ hours: 2 })).total("hours"), 2160);
  const published = nextTrustState(stricter, b, after({ hours: 3 }), settings);
  const switched = nextTrustState(published, undefined, after({ hours: 4 }), settings);
  const { longestValidity } = switched.signing!;
  assert.equal(longestValidity.total("hours"), 720);
  const lastOfFormer = after({ hours: 3 + 2160, minutes: 10 });
  const expiry = lastExpiry(switched, after({ hours: 4 }));
  assert(Temporal.Instant.compare(expiry, lastOfFormer) >= 0, String(expiry));
});

Deno.test("with a bundle alone, as in a new installation, its CA signs at once and any other waits", () => {
  const { "ca.crt": bundle = "" } = formatTrustState(first);
  const parsed = parseTrustState({ "ca.crt": bundle });
  assert(parsed.kind === "state");
  assert.equal(
    nextTrustState(parsed.state, a, start, settings).signing?.fingerprint,
    a.fingerprint,
  );
  const other = nextTrustState(parsed.state, b, start, settings);
  assert.equal(other.signing, undefined);
  assert.equal(String(other.pending?.switchAt), String(start.add(settings.delay)));
});

Deno.test("the state survives being written and read, whatever led to it", () => {
  fc.assert(
    fc.property(history(), (steps) => {
      for (const { state } of play(steps)) {
        const parsed = parseTrustState(formatTrustState(state));
        assert.deepEqual(comparable(parsed), comparable({ kind: "state", state }));
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("a document of another form is rejected with the field that is wrong", () => {
  const text = formatTrustState(first)["state.json"] ?? "";
  const sound = JSON.parse(text);
  const [anchor] = sound.anchors;
  const cases: [unknown, RegExp][] = [
    ["{", /state\.json is not JSON/],
    [[], /state\.json is not an object/],
    [{ ...sound, version: 2 }, /version 2; expected 1/],
    [{ ...sound, anchors: {} }, /anchors is not a list/],
    [{ ...sound, anchors: [{ ...anchor, certificate: "AAAA" }] }, /a certificate is broken/],
    [{ ...sound, anchors: [{ ...anchor, certificate: "%" }] }, /a certificate is broken/],
    [
      { ...sound, anchors: [{ ...anchor, retireAt: "soon" }] },
      /anchors\.retireAt is not an instant/,
    ],
    [{ ...sound, signing: { ...sound.signing, fingerprint: "x" } }, /signing\.fingerprint/],
    [{ ...sound, signing: { ...sound.signing, longestValidity: "-1h" } }, /is not a duration/],
    [{ ...sound, pending: { ...sound.signing } }, /pending\.switchAt is not an instant/],
  ];
  for (const [value, problem] of cases) {
    const given = typeof value === "string" ? value : JSON.stringify(value);
    const parsed = parseTrustState({ "state.json": given });
    assert(parsed.kind === "refused", given);
    assert.match(parsed.problem, problem);
  }
  fc.assert(fc.property(fc.string(), fc.string(), (state, bundle) => {
    parseTrustState({ "state.json": state, "ca.crt": bundle });
  }));
});

type Step =
  | { readonly minutes: number }
  | { readonly ca: number; readonly compromised: boolean; readonly further: number | undefined };

function history(compromisedToo = true): fc.Arbitrary<Step[]> {
  const ca = fc.record({
    ca: fc.nat(2),
    compromised: compromisedToo ? fc.boolean() : fc.constant(false),
    further: fc.option(fc.nat(2), { nil: undefined }),
  });
  const wait = fc.record({ minutes: fc.oneof(fc.nat(15), fc.nat(60 * 24 * 40)) });
  return fc.array(fc.oneof(ca, wait), { maxLength: 15 });
}

function offer({ ca, compromised, further }: Exclude<Step, { minutes: number }>): LoadedCa {
  const furtherAnchors = further === undefined ? [] : cas[further]?.anchors ?? [];
  return { ...(cas[ca] as LoadedCa), compromised, furtherAnchors };
}

function* play(steps: readonly Step[]) {
  let state = emptyTrustState;
  let now = start;
  for (const step of steps) {
    if ("minutes" in step) now = now.add({ minutes: step.minutes });
    const offered = "minutes" in step ? undefined : offer(step);
    const before = state;
    // A root that was marked as compromised is rejected when it is offered again.
    state = transition(before, offered, now, settings).state;
    yield { before, state, now, offered };
  }
}

Deno.test("nothing signs with an anchor that was published less than the delay ago, unless it is the first or the other's key is compromised", () => {
  fc.assert(fc.property(history(false), (steps) => {
    const publishedAt = new Map<string, Temporal.Instant>();
    let isFirst = true;
    for (const { state, now } of play(steps)) {
      for (const { fingerprint } of state.anchors) {
        if (!publishedAt.has(fingerprint)) publishedAt.set(fingerprint, now);
      }
      for (const one of [...publishedAt.keys()]) {
        if (!state.anchors.some(({ fingerprint }) => fingerprint === one)) publishedAt.delete(one);
      }
      if (state.signing === undefined) continue;
      if (isFirst) {
        // The first CA signs without a delay.
        for (const one of publishedAt.keys()) publishedAt.set(one, start.subtract({ hours: 1 }));
      }
      isFirst = false;
      for (const one of state.signing.anchors) {
        const since = publishedAt.get(one);
        assert(since !== undefined, "signs without a published anchor");
        assert(Temporal.Duration.compare(since.until(now), settings.delay) >= 0);
      }
    }
  }));
});

Deno.test("no anchor retires while a leaf that leads to it is valid, unless a key is compromised", () => {
  fc.assert(fc.property(history(false), (steps) => {
    const lastLeaf = new Map<string, Temporal.Instant>();
    let previous = emptyTrustState;
    for (const { state, now } of play(steps)) {
      // The CA that signed until now may have signed a leaf of the longest validity just now.
      const until = previous.pending && Temporal.Instant.compare(previous.pending.switchAt, now) < 0
        ? previous.pending.switchAt
        : now;
      for (const [ca, at] of [[previous.signing, until], [state.signing, now]] as const) {
        for (const one of ca?.anchors ?? []) lastLeaf.set(one, at.add(settings.longestValidity));
      }
      const published = new Set(state.anchors.map(({ fingerprint }) => fingerprint));
      for (const [one, notAfter] of lastLeaf) {
        if (Temporal.Instant.compare(notAfter, now) > 0) assert(published.has(one));
        else lastLeaf.delete(one);
      }
      previous = state;
    }
  }));
});

Deno.test("given the same CA again, or none, a state does not change", () => {
  fc.assert(fc.property(history(), (steps) => {
    let latest: LoadedCa | undefined;
    for (const { state, now, offered } of play(steps)) {
      latest = offered ?? latest;
      assertSameState(nextTrustState(state, undefined, now, settings), state);
      if (offered) assertSameState(transition(state, offered, now, settings).state, state);
    }
  }));
});

Deno.test("two replicas that read the same CA in any order agree on its instant", () => {
  const one = nextTrustState(
    nextTrustState(first, b, after({ hours: 1 }), settings),
    b,
    after({ hours: 1, seconds: 9 }),
    settings,
  );
  assert.equal(String(one.pending?.switchAt), "2026-03-01T13:10:00Z");
  // One replica still reports the former CA, having read it late; the other reports the new one again.
  const late = nextTrustState(one, a, after({ hours: 1, seconds: 10 }), settings);
  const settled = nextTrustState(late, b, after({ hours: 1, seconds: 11 }), settings);
  assert.equal(String(settled.pending?.switchAt), "2026-03-01T13:10:00Z");
});

Deno.test("a replica that has not seen the new CA keeps the old one while that is trusted", () => {
  const published = nextTrustState(first, b, after({ hours: 1 }), settings);
  const switched = nextTrustState(published, undefined, after({ hours: 2 }), settings);
  const both = { latest: b, former: undefined, previous: a };
  assert.equal(chooseSigningCa(published, both), a);
  assert.equal(chooseSigningCa(switched, both), b);
  assert.equal(chooseSigningCa(switched, { latest: a, former: undefined, previous: a }), a);
  assert.equal(
    chooseSigningCa(published, { latest: b, former: undefined, previous: undefined }),
    undefined,
  );
  const gone = nextTrustState(first, compromised(b), after({ hours: 2 }), settings);
  assert.equal(chooseSigningCa(gone, { latest: a, former: undefined, previous: a }), undefined);
  assert.equal(chooseSigningCa(nextTrustState(gone, c, after({ hours: 3 }), settings), both), b);
});

Deno.test("the fingerprint of one certificate is the one that OpenSSL shows", () => {
  assert.match(computeFingerprint(a.anchors), /^[0-9a-f]{64}$/);
  assert.equal(computeFingerprint(a.anchors), a.fingerprint);
});
