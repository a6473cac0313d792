/** Which DNS names a volume can ask for: the table, and what holds for all names. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { rule } from "../../support/service_fixture.ts";
import { type Changes, decide } from "./policy_fixture.ts";

const outcomeOf = (name: string, changes?: Changes) => decide({ "dns-names": name }, changes).kind;
const inNamespace = (namespace: string, name = "web-0"): Changes => ({ pod: { namespace, name } });

const label63 = "x".repeat(63);
/** A name of so many characters below shop.svc.cluster.local. */
const longName = (length: number) =>
  `${"x".repeat(length - ".shop.svc.cluster.local".length)}.shop.svc.cluster.local`;

const everything = {
  rules: [rule({
    dnsNames: ["*.csi-cert-driver.internal", "*.svc.cluster.local", "*.default.svc"]
      .concat("kubernetes.default.svc", "cluster.local"),
  })],
};

/** Names by what decides them, and how a request for each ends. */
const table: Record<string, [Changes, Record<string, "granted" | "denied" | "invalid">]> = {
  "names below the pod's namespace": [{}, {
    "api.shop": "denied", // A public top-level domain.
    "a.api.shop": "denied",
    "*.shop": "denied",
    "api.shop.svc": "granted",
    "a.api.shop.svc": "granted",
    "b.a.api.shop.svc": "denied",
    "*.shop.svc": "granted",
    "*.api.shop.svc": "granted",
    "*.a.api.shop.svc": "denied",
    "api.shop.svc.cluster.local": "granted",
    "a.api.shop.svc.cluster.local": "granted",
    "b.a.api.shop.svc.cluster.local": "denied",
    "*.shop.svc.cluster.local": "granted",
    "*.api.shop.svc.cluster.local": "granted",
    [`${label63}.shop.svc`]: "granted",
    "xn--bcher-kva.shop.svc": "granted",
  }],
  "the pod's own names": [{}, { "web-0": "granted", "web-1": "denied" }],
  "other namespaces and the cluster": [{}, {
    "shop": "denied",
    "shop.svc": "denied",
    "shop.svc.cluster.local": "denied",
    "*.svc": "denied",
    "*.svc.cluster.local": "denied",
    "*.cluster.local": "denied",
    "cluster.local": "denied",
    "local": "denied",
    "svc.cluster.local": "denied",
    "api.bank": "denied",
    "api.bank.svc": "denied",
    "api.bank.svc.cluster.local": "denied",
    "api.xshop.svc": "denied",
    "shop.svc.bank.svc": "denied",
    "api.shop.svc.cluster.local.example.com": "denied",
    "example.com": "denied",
  }],
  "reserved names": [{}, {
    "localhost": "denied",
    "x.localhost": "denied",
    "kubernetes.default.svc": "denied",
    "cert-service.csi-cert-driver.internal": "denied",
    "*.csi-cert-driver.internal": "denied",
  }],
  "texts that are not a DNS name": [{}, {
    "bücher.shop.svc": "invalid",
    "wеb.shop.svc": "invalid", // The second letter is Cyrillic.
    "web．shop.svc": "invalid", // A full-width dot.
    "xn--.shop.svc": "invalid",
    "WEB.shop.svc": "invalid",
    "web.shop.svc.": "invalid",
    ".shop.svc": "invalid",
    "web..svc": "invalid",
    "*": "invalid",
    "*.*": "invalid",
    "*.*.shop.svc": "invalid",
    "w*.shop.svc": "invalid",
    "web.*.svc": "invalid",
    "web.shop.svc\u0000.evil.example": "invalid",
    "web\u0000.shop.svc": "invalid",
    "web.shop.svc\n": "invalid",
    "_web.shop.svc": "invalid",
    "10.0.0.1": "invalid",
    [`x${label63}.shop.svc`]: "invalid",
    [`${`${label63}.`.repeat(3)}${"x".repeat(62)}`]: "invalid",
    [longName(254)]: "invalid",
  }],
  "a namespace called local": [inNamespace("local"), {
    "printer.local": "denied",
    "cluster.local": "denied",
    "printer.local.svc": "granted",
    "web.local.svc.cluster.local": "granted",
  }],
  "a namespace called cluster": [inNamespace("cluster"), {
    "svc.cluster": "denied",
    "printer.cluster": "denied",
    "web.cluster.svc.cluster.local": "granted",
  }],
  "a namespace called svc": [inNamespace("svc"), {
    "shop.svc": "denied",
    "web.shop.svc": "denied",
    "web.svc.svc": "granted",
    "web.svc.svc.cluster.local": "granted",
  }],
  "a namespace called as no top-level domain": [inNamespace("payments"), {
    "web.payments": "granted",
    "*.payments": "denied",
    "web.app.payments": "denied",
    "payments": "denied",
  }],
  "a namespace called dev, a public top-level domain": [inNamespace("dev"), {
    "web.dev": "denied",
    "web.dev.svc": "granted",
  }],
  "the API server's namespace": [inNamespace("default"), {
    "kubernetes.default": "denied",
    "kubernetes.default.svc": "denied",
    "*.default.svc": "denied",
    "kubernetes.default.svc.cluster.local": "denied",
    "*.default.svc.cluster.local": "denied",
    "*.web.default.svc": "granted",
  }],
  "rules that try to grant reserved names": [everything, {
    "cert-service.csi-cert-driver.internal": "denied",
    "kubernetes.default.svc": "denied",
    "kubernetes": "denied",
    "cluster.local": "denied",
    "*.default.svc": "denied",
    "*.svc.cluster.local": "denied",
  }],
};

// Here LABEL.NAMESPACE would be a name of the cluster, or one of special use.
for (const namespace of ["pod", "internal", "test", "localhost"]) {
  table[`a namespace called ${namespace}`] = [inNamespace(namespace), {
    [`web.${namespace}`]: "denied",
    [`web.${namespace}.svc`]: "granted",
    [`web.${namespace}.svc.cluster.local`]: "granted",
  }];
}

for (const [decidedBy, [changes, names]] of Object.entries(table)) {
  Deno.test(`requested DNS names are granted, denied or invalid by ${decidedBy}`, () => {
    for (const [name, expected] of Object.entries(names)) {
      assert.equal(outcomeOf(name, changes), expected, JSON.stringify(name));
    }
  });
}

const label = fc.constantFrom(
  "a",
  "b",
  "svc",
  "cluster",
  "local",
  "pod",
  "dev",
  "payments",
  "default",
);
const domains = ["cluster.local", "k8s.example.com", "local", "a.b", "cluster", "x.svc"];
const domain = fc.constantFrom(...domains);
const name = fc.tuple(fc.boolean(), fc.array(label, { minLength: 1, maxLength: 7 }))
  .map(([wildcard, labels]) => (wildcard ? "*." : "") + labels.join("."));
const isGranted = (name: string, changes: Changes) => outcomeOf(name, changes) === "granted";

Deno.test("no name is granted to two namespaces, and no wildcard of one covers a name of another", () => {
  fc.assert(
    fc.property(label, label, name, label, domain, (one, other, wide, covered, clusterDomain) => {
      fc.pre(one !== other);
      const changes = (namespace: string) => ({ ...inNamespace(namespace, "p"), clusterDomain });
      if (!isGranted(wide, changes(one))) return;
      for (const narrow of [wide, wide.replace("*", covered)]) {
        assert.equal(isGranted(narrow, changes(other)), false, `${wide} covers ${narrow}`);
      }
    }),
    { numRuns: 6000 },
  );
});

Deno.test("a name that is granted without rules is the pod's or contains its namespace", () => {
  fc.assert(
    fc.property(label, name, (namespace, candidate) => {
      if (!isGranted(candidate, inNamespace(namespace))) return;
      const labels = candidate.split(".");
      assert(candidate === "web-0" || labels.includes(namespace), `${candidate} in ${namespace}`);
    }),
    { numRuns: 2000 },
  );
});
