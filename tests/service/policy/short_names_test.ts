import assert from "node:assert/strict";
import { rule } from "../../support/service_fixture.ts";
import { decide, granted, reasonOf } from "./policy_fixture.ts";

const ask = (namespace: string, rules: ReturnType<typeof rule>[] = []) =>
  [{ "dns-names": `web.${namespace}` }, { pod: { namespace }, rules }] as const;

Deno.test("LABEL.NAMESPACE is granted where the namespace is no top-level domain", () => {
  for (const namespace of ["payments", "team-a", "kube-system", "default", "a", "xn--zzz"]) {
    assert.equal(decide(...ask(namespace)).kind, "granted", namespace);
  }
});

Deno.test("LABEL.NAMESPACE is not granted where the namespace is a public top-level domain", () => {
  for (const namespace of ["com", "dev", "shop", "bank", "app", "io", "museum", "xn--fiqs8s"]) {
    assert.equal(
      reasonOf(...ask(namespace)),
      `the policy for namespace ${namespace} does not allow it: dns-names "web.${namespace}" is ` +
        `not granted, because ${namespace} is a public top-level domain; use ` +
        `"web.${namespace}.svc", or ask for a policy rule with shortNames: true`,
    );
  }
  assert.match(
    reasonOf({ "dns-names": "google.com" }, { pod: { namespace: "com" } }),
    /"google\.com" is not granted/,
  );
});

Deno.test("LABEL.NAMESPACE is not granted where the namespace is a usual private domain", () => {
  const usual = ["corp", "lan", "home", "internal", "intranet", "private", "localdomain"];
  for (const namespace of [...usual, "test", "localhost", "mail", "onion"]) {
    assert.match(
      decide(...ask(namespace)).kind === "denied" ? reasonOf(...ask(namespace)) : namespace,
      /top-level domain of private networks or of special use; |is the name of every machine/,
    );
  }
});

Deno.test("LABEL.NAMESPACE is granted or denied by the last rule that states shortNames", () => {
  const on = rule({ shortNames: true });
  const off = rule({ namespaces: ["com", "payments"], shortNames: false });
  for (const namespace of ["com", "corp", "payments"]) {
    granted(...ask(namespace, [off, on]));
  }
  granted(...ask("corp", [on, off]));
  assert.match(
    reasonOf(...ask("com", [on, off])),
    /com is a public top-level domain; use "web\.com/,
  );
  assert.match(
    reasonOf(...ask("payments", [on, off])),
    /payments has no such names by a rule with shortNames: false; use "web\.payments\.svc", or/,
  );
  // A name that a rule grants by itself needs no short names.
  granted(...ask("payments", [off, rule({ dnsNames: ["web.payments"] })]));
  assert.equal(
    decide({ "dns-names": "*.com" }, { pod: { namespace: "com" }, rules: [on] }).kind,
    "denied",
  );
});

Deno.test("no rule grants short names to a namespace that is called as a part of the cluster's names", () => {
  const rules = [rule({ shortNames: true })];
  for (const namespace of ["svc", "pod", "cluster"]) {
    assert.match(
      reasonOf(...ask(namespace, rules)),
      RegExp(
        `has the form of the cluster's own names, .* no rule can grant it; use "web\\.${namespace}\\.svc"$`,
      ),
    );
  }
});
