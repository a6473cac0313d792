import assert from "node:assert/strict";
import fc from "fast-check";
import { computeEffectivePolicy } from "../../../src/service/policy/effective_policy.ts";
import { findIneffectiveParts } from "../../../src/service/policy/ineffective_rules.ts";
import { policy, rule } from "../../support/service_fixture.ts";

/** Every name of up to four letters, of which the patterns contain no "z". */
const names = (() => {
  const letters = ["a", "b", "-", "z"];
  let words = [""];
  const all: string[] = [];
  for (let length = 1; length <= 4; length++) {
    words = words.flatMap((word) => letters.map((letter) => word + letter));
    all.push(...words.filter((word) => /^[abz]/.test(word) && !word.endsWith("-")));
  }
  return all;
})();

const pattern = fc.constantFrom("*", "a*", "b*", "a-*", "ab*", "a-b*", "a", "b", "ab", "a-b", "z");
const patterns = fc.uniqueArray(pattern, { minLength: 1, maxLength: 3 });

Deno.test("a value is reported exactly where later rules replace it in each of the rule's namespaces", () => {
  fc.assert(
    fc.property(fc.array(patterns, { minLength: 1, maxLength: 4 }), (namespacesOfRules) => {
      // Each rule states a value of its own, which shows which rule applies.
      const rules = namespacesOfRules.map((namespaces, at) =>
        rule({ namespaces, maxValidity: Temporal.Duration.from({ hours: at + 1 }) })
      );
      const applied = new Set(
        names.map((name) => computeEffectivePolicy(policy(rules), name).maxValidity.hours),
      );
      const unused = rules.flatMap((_, at) => applied.has(at + 1) ? [] : [at]);
      const reported = findIneffectiveParts(rules, policy()).map(({ rule }) => rule);
      assert.deepEqual(reported, unused, JSON.stringify(namespacesOfRules));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("a pattern that also matches a reserved name is not reported, and the name alone is", () => {
  const base = { ...policy(), servingName: "x.example.com" };
  const reported = (name: string) => findIneffectiveParts([rule({ dnsNames: [name] })], base);
  assert.deepEqual(reported("*.example.com"), []);
  assert.match(reported("x.example.com")[0]?.problem ?? "", /belongs to the certificate service/);
});
