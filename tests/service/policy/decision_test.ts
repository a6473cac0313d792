import assert from "node:assert/strict";
import fc from "fast-check";
import { parseIpRange } from "../../../src/service/policy/ip_ranges.ts";
import { computeRequestedNames } from "../../../src/service/policy/requested_names.ts";
import { decidePolicy } from "../../../src/service/policy/decision.ts";
import type { PolicyRule } from "../../../src/service/policy/policy.ts";
import { parseAttributes } from "../../../src/shared/attributes/attribute_parser.ts";
import type { KeyAlgorithm } from "../../../src/shared/crypto/key_algorithm.ts";
import type { PodFields } from "../../../src/shared/attributes/templates.ts";
import { policy, rule } from "../../support/service_fixture.ts";

interface Asking {
  readonly pod?: Partial<PodFields>;
  readonly rules?: readonly PolicyRule[];
  readonly keyAlgorithm?: KeyAlgorithm;
  readonly clusterDomain?: string;
}

function ask(attributes: Record<string, string>, asking: Asking = {}) {
  const pod: PodFields = {
    namespace: "shop",
    name: "web-0",
    uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
    serviceAccountName: "web",
    ...asking.pod,
  };
  const parsed = parseAttributes(attributes);
  assert(parsed.kind === "attributes", JSON.stringify(parsed));
  const clusterDomain = asking.clusterDomain ?? "cluster.local";
  const requested = computeRequestedNames(pod, parsed.attributes, clusterDomain);
  assert(requested.kind === "names", JSON.stringify(requested));
  return decidePolicy({ ...policy(asking.rules), clusterDomain }, {
    pod,
    names: requested.names,
    validity: parsed.attributes.duration,
    keyAlgorithm: asking.keyAlgorithm ?? "ecdsa-p256",
  });
}

const mayHave = (name: string, asking?: Asking) =>
  ask({ "dns-names": name }, asking).kind === "granted";

function reason(attributes: Record<string, string>, asking?: Asking): string {
  const decision = ask(attributes, asking);
  assert(decision.kind === "denied", JSON.stringify(decision));
  return decision.reason;
}

Deno.test("by default a pod may ask for the names of its namespace, and no others", () => {
  const names = {
    "api.shop": true,
    "a.api.shop": false,
    "*.shop": false,
    "api.shop.svc": true,
    "a.api.shop.svc": true,
    "b.a.api.shop.svc": false,
    "*.shop.svc": true,
    "*.api.shop.svc": true,
    "*.a.api.shop.svc": false,
    "api.shop.svc.cluster.local": true,
    "a.api.shop.svc.cluster.local": true,
    "b.a.api.shop.svc.cluster.local": false,
    "*.shop.svc.cluster.local": true,
    "*.api.shop.svc.cluster.local": true,
    "shop": false,
    "shop.svc": false,
    "shop.svc.cluster.local": false,
    "*.svc": false,
    "*.svc.cluster.local": false,
    "*.cluster.local": false,
    "cluster.local": false,
    "local": false,
    "svc.cluster.local": false,
    "api.bank": false,
    "api.bank.svc": false,
    "api.bank.svc.cluster.local": false,
    "api.xshop.svc": false,
    "shop.svc.bank.svc": false,
    "api.shop.svc.cluster.local.example.com": false,
    "web-0": true,
    "web-1": false,
    "localhost": false,
    "x.localhost": false,
    "example.com": false,
    "kubernetes.default.svc": false,
    "cert-service.csi-cert-driver.internal": false,
    "*.csi-cert-driver.internal": false,
  };
  for (const [name, expected] of Object.entries(names)) {
    assert.equal(mayHave(name), expected, name);
  }
});

Deno.test("a denial names the name, the rule and the namespace, and what to ask for", () => {
  const text = reason({ "dns-names": "api.bank.svc", "organizational_units": "Bank" });
  assert.match(text, /^the policy for namespace shop does not allow it: /);
  assert.match(text, /dns-names "api\.bank\.svc" is neither a label before \.shop, nor/);
  assert.match(text, /ask for a policy rule with dnsNames: \["api\.bank\.svc"\]/);
  assert.match(text, /organizational_units "Bank" is not granted by default/);
});

Deno.test("a denial of many names stays short enough for an event", () => {
  const many = Array.from({ length: 60 }, (_, at) => `${"x".repeat(60)}.example${at}.com`).join();
  const text = reason({ "dns-names": many.slice(0, 4000).replace(/,[^,]*$/, "") });
  assert.match(text, /; and \d+ more$/);
  assert(text.length < 1024, `${text.length}`);
});

Deno.test("a namespace that is called as the end of other names has no short ones", () => {
  for (const namespace of ["local", "cluster", "svc", "pod", "internal", "test", "localhost"]) {
    const asking = { pod: { namespace } };
    assert.equal(mayHave(`printer.${namespace}`, asking), false, namespace);
    assert.equal(mayHave(`web.${namespace}.svc.cluster.local`, asking), true, namespace);
  }
  assert.equal(mayHave("cluster.local", { pod: { namespace: "local" } }), false);
  assert.equal(mayHave("svc.cluster", { pod: { namespace: "cluster" } }), false);
  assert.equal(mayHave("shop.svc", { pod: { namespace: "svc" } }), false);
  assert.equal(mayHave("web.shop.svc", { pod: { namespace: "svc" } }), false);
});

Deno.test("a namespace called dev has what the cluster's DNS answers for it anyway", () => {
  assert.equal(mayHave("web.dev", { pod: { namespace: "dev" } }), true);
  assert.equal(mayHave("web.app.dev", { pod: { namespace: "dev" } }), false);
});

Deno.test("no pod bears a name of the API server, called so or covered by a wildcard", () => {
  const asking = { pod: { namespace: "default" } };
  const names = ["kubernetes.default", "kubernetes.default.svc", "*.default.svc"]
    .concat("kubernetes.default.svc.cluster.local", "*.default.svc.cluster.local");
  for (const name of names) assert.equal(mayHave(name, asking), false, name);
  assert.equal(mayHave("*.web.default.svc", asking), true);
  const called = { pod: { namespace: "default", name: "kubernetes" } };
  assert.match(reason({}, called), /the pod's own name .* Kubernetes API server/);
});

Deno.test("a pod called as another's full name has only what ends in its own namespace", () => {
  const name = "cert-service.csi-cert-system.svc.cluster.local";
  const decision = ask({}, { pod: { name } });
  assert(decision.kind === "granted");
  assert.deepEqual(decision.names.dnsNames, [`${name}.shop.svc.cluster.local`]);
  assert.match(decision.names.commonName, /^cert-service\.csi-cert-system\.svc.*-0f8fad5b$/);
  assert.equal(decision.names.commonName.length, 64);
});

Deno.test("a common name that is granted is a subjectAltName as well", () => {
  const decision = ask({ "cn_template": "{metadata.name}.{metadata.namespace}" });
  assert(decision.kind === "granted");
  assert.equal(decision.names.commonName, "web-0.shop");
  assert(decision.names.dnsNames.includes("web-0.shop"));
  assert.match(reason({ "cn_template": "admin" }), /cn_template "admin" is neither/);
  assert.equal(ask({ "cn_template": "{metadata.name}" }).kind, "granted");
});

Deno.test("bare names can be switched off, for the common name too", () => {
  const asking = { rules: [rule({ bareNames: false })] };
  const decision = ask({}, asking);
  assert(decision.kind === "granted");
  assert.deepEqual(decision.names.dnsNames, ["web-0.shop.svc.cluster.local"]);
  assert.equal(ask({ "cn_template": "{metadata.name}" }, asking).kind, "denied");
  assert.equal(mayHave("web-0", asking), false);
});

Deno.test("a pod may have its own SPIFFE ID, and at most one", () => {
  const own = "spiffe://cluster.local/ns/shop/sa/web";
  assert.equal(ask({ "uri-sans": own }).kind, "granted");
  const others = [
    "spiffe://cluster.local/ns/shop/sa/admin",
    "spiffe://cluster.local/ns/bank/sa/web",
  ]
    .concat("spiffe://other.org/ns/shop/sa/web", "https://shop.example.com/");
  for (const uri of others) assert.match(reason({ "uri-sans": uri }), /not the pod's own/, uri);
  const rules = [rule({ uris: ["spiffe://cluster.local/ns/shop/sa/*"] })];
  assert.equal(ask({ "uri-sans": others[0] ?? "" }, { rules }).kind, "granted");
  assert.match(reason({ "uri-sans": `${own},${others[0]}` }, { rules }), /more than one SPIFFE/);
});

Deno.test("no rule makes a pod a node, or the service", () => {
  const rules = [
    rule({ uris: ["spiffe://cluster.local/*/*"], dnsNames: ["*.csi-cert-driver.internal"] }),
  ];
  const uri = "spiffe://cluster.local/csi-cert-node/node-1";
  assert.match(reason({ "uri-sans": uri }, { rules }), /names a node, and no rule can grant it/);
  const name = "cert-service.csi-cert-driver.internal";
  assert.match(reason({ "dns-names": name }, { rules }), /belongs to the certificate service/);
});

Deno.test("a rule adds names label by label, for its namespaces only", () => {
  const rules = [rule({ namespaces: ["shop", "team-*"], dnsNames: ["*.apps.example.com"] })];
  assert.equal(mayHave("a.apps.example.com", { rules }), true);
  assert.equal(mayHave("*.apps.example.com", { rules }), true);
  assert.equal(mayHave("a.b.apps.example.com", { rules }), false);
  assert.equal(mayHave("apps.example.com", { rules }), false);
  assert.equal(mayHave("xapps.example.com", { rules }), false);
  assert.equal(mayHave("a.apps.example.com", { rules, pod: { namespace: "team-a" } }), true);
  assert.equal(mayHave("a.apps.example.com", { rules, pod: { namespace: "team" } }), false);
});

Deno.test("a wildcard in a rule for URIs is one plain segment", () => {
  const rules = [rule({ uris: ["https://shop.example.com/*/v1"] })];
  const mayHaveUri = (uri: string) => ask({ "uri-sans": uri }, { rules }).kind === "granted";
  assert.equal(mayHaveUri("https://shop.example.com/api/v1"), true);
  const others = ["https://shop.example.com/a/b/v1", "https://shop.example.com//v1"]
    .concat("https://shop.example.com/../v1", "https://shop.example.com/a%2Fb/v1")
    .concat("https://shop.example.com/a?b/v1", "http://shop.example.com/api/v1")
    .concat("https://shop.example.com.evil.com/api/v1");
  for (const uri of others) assert.equal(mayHaveUri(uri), false, uri);
});

Deno.test("addresses need a range that holds them", () => {
  const ranges = ["10.0.0.0/8", "fd00::/8"].map(parseIpRange).filter((range) =>
    range !== undefined
  );
  const mayHaveIp = (ip: string, rules: PolicyRule[]) =>
    ask({ "ip-sans": ip }, { rules }).kind === "granted";
  const rules = [rule({ ipRanges: ranges })];
  for (const ip of ["10.0.0.1", "10.255.255.255", "fd12::1", "::ffff:10.1.2.3"]) {
    assert.equal(mayHaveIp(ip, rules), true, ip);
  }
  for (const ip of ["11.0.0.1", "9.255.255.255", "fe00::1", "::1", "::ffff:11.0.0.1"]) {
    assert.equal(mayHaveIp(ip, rules), false, ip);
  }
  assert.match(reason({ "ip-sans": "10.0.0.1" }), /ipRanges: \["10\.0\.0\.1\/32"\]/);
});

Deno.test("units, annotations, validity and key types need a rule beyond the default", () => {
  assert.match(reason({ duration: "721h" }), /721h is over the longest, 720h/);
  assert.equal(ask({ duration: "720h" }).kind, "granted");
  assert.match(reason({}, { keyAlgorithm: "rsa-4096" }), /rsa-4096 is not one of/);
  const pod = { annotations: { host: "api" } };
  const templated = { "dns-names": "{metadata.annotations.host}.shop" };
  assert.match(reason(templated, { pod }), /takes in an annotation/);
  const generous = rule({
    maxValidity: Temporal.Duration.from({ hours: 8760 }),
    keyAlgorithms: ["rsa-4096"],
    annotations: true,
    organizationalUnits: ["*"],
  });
  const asked = { ...templated, duration: "8760h", "organizational_units": "Any Unit" };
  const rules = [generous];
  assert.equal(ask(asked, { pod, rules, keyAlgorithm: "rsa-4096" }).kind, "granted");
  assert.equal(ask({}, { rules }).kind, "denied", "the rule's key types replace the default's");
});

Deno.test("a rule that shortens the longest validity shortens the default with it", () => {
  const rules = [rule({ maxValidity: Temporal.Duration.from({ hours: 1 }) })];
  const decision = ask({}, { rules });
  assert(decision.kind === "granted");
  assert.equal(decision.validity.total("hours"), 1);
});

const label = fc.constantFrom("a", "b", "svc", "cluster", "local", "pod", "dev", "shop", "default");
const domain = fc.constantFrom(
  "cluster.local",
  "k8s.example.com",
  "local",
  "a.b",
  "cluster",
  "x.svc",
);
const name = fc.tuple(fc.boolean(), fc.array(label, { minLength: 1, maxLength: 7 }))
  .map(([wildcard, labels]) => (wildcard ? "*." : "") + labels.join("."));

Deno.test("no name that one namespace may have is, or is covered by, another's", () => {
  fc.assert(
    fc.property(label, label, name, domain, (one, other, candidate, clusterDomain) => {
      fc.pre(one !== other);
      const asking = (namespace: string) => ({ pod: { namespace, name: "p" }, clusterDomain });
      if (!mayHave(candidate, asking(one))) return;
      assert.equal(mayHave(candidate, asking(other)), false, `${candidate}: ${one}, ${other}`);
    }),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(label, label, name, label, domain, (one, other, wide, covered, clusterDomain) => {
      fc.pre(one !== other);
      const narrow = wide.replace("*", covered);
      const asking = (namespace: string) => ({ pod: { namespace, name: "p" }, clusterDomain });
      const both = mayHave(wide, asking(one)) && mayHave(narrow, asking(other));
      assert.equal(both, false, `${wide} covers ${narrow}`);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("whatever is granted without rules is a name of the pod or of its namespace", () => {
  fc.assert(
    fc.property(label, name, (namespace, candidate) => {
      if (!mayHave(candidate, { pod: { namespace } })) return;
      const labels = candidate.split(".");
      assert(candidate === "web-0" || labels.includes(namespace), `${candidate} in ${namespace}`);
    }),
    { numRuns: 2000 },
  );
});
