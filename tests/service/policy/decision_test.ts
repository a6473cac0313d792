import assert from "node:assert/strict";
import { parseIpRange } from "../../../src/service/policy/ip_ranges.ts";
import { rule } from "../../support/service_fixture.ts";
import { type Changes, decide, granted, reasonOf } from "./policy_fixture.ts";

const grants = (name: string, changes?: Changes) =>
  decide({ "dns-names": name }, changes).kind === "granted";

Deno.test("a denial names the name, the rule and the namespace, and what to ask for", () => {
  const text = reasonOf({ "dns-names": "api.bank.svc", "organizational_units": "Bank" });
  assert.match(text, /^the policy for namespace shop does not allow it: /);
  assert.match(text, /dns-names "api\.bank\.svc" is not one or two labels before \.shop\.svc or/);
  assert.match(text, /ask for a policy rule with dnsNames: \["api\.bank\.svc"\]/);
  assert.match(text, /organizational_units "Bank" is not granted by default/);
});

Deno.test("a denial of a wildcard before a single label does not suggest a rule that every file is refused for", () => {
  for (const name of ["*.com", "*.shop"]) {
    const text = reasonOf({ "dns-names": name });
    assert.match(text, /; no rule can grant a wildcard before a single label$/);
    assert.doesNotMatch(text, /ask for/);
  }
  const wildcard = "*.example.com";
  assert.match(reasonOf({ "dns-names": wildcard }), /ask for .* dnsNames: \["\*\.example\.com"\]$/);
});

Deno.test("a denial of many names is short enough for an event", () => {
  const many = Array.from({ length: 60 }, (_, at) => `${"x".repeat(60)}.example${at}.com`).join();
  const text = reasonOf({ "dns-names": many.slice(0, 4000).replace(/,[^,]*$/, "") });
  assert.match(text, /; and \d+ more$/);
  assert(text.length < 1024, `${text.length}`);
});

Deno.test("a pod whose own name is a name of the API server is denied", () => {
  const pod = { namespace: "default", name: "kubernetes" };
  assert.match(reasonOf({}, { pod }), /the pod's own name .* Kubernetes API server/);
});

Deno.test("a pod whose own name cannot be a DNS name gets a certificate only with another subjectAltName", () => {
  const pod = { name: "a".repeat(64) };
  assert.equal(
    reasonOf({}, { pod }),
    "the certificate would have no subjectAltName: the pod's own name cannot be a DNS name, which " +
      "has labels of at most 63 characters and 253 in all; name the pod differently, or add " +
      "dns-names, ip-sans or uri-sans to the volume's attributes",
  );
  assert.equal(decide({}, { pod, isRenewal: true }).kind, "denied");
  const units = { rules: [rule({ organizationalUnits: ["*"] })] };
  assert.match(reasonOf({ organizational_units: "A" }, { pod, ...units }), /no subjectAltName/);
  assert.deepEqual(granted({ "dns-names": "web.shop.svc" }, { pod }).names.dnsNames, [
    "web.shop.svc",
  ]);
  granted({ "uri-sans": "spiffe://cluster.local/ns/shop/sa/web" }, { pod });
  granted({ "cn_template": "web.shop.svc" }, { pod });
});

Deno.test("a pod named like the service's full name gets only names that end in its own namespace", () => {
  const name = "cert-service.csi-cert-system.svc.cluster.local";
  const { names } = granted({}, { pod: { name } });
  assert.deepEqual(names.dnsNames, [`${name}.shop.svc.cluster.local`]);
  assert.match(names.commonName, /^cert-service\.csi-cert-system\.svc.*-0f8fad5b$/);
  assert.equal(names.commonName.length, 64);
});

Deno.test("no rule and no default grants the service's own name, or a wildcard that covers it", () => {
  const servingName = "cert-service.shop.svc.cluster.local";
  const everything = ["*.svc.cluster.local", "*.shop.svc.cluster.local", servingName];
  const changes = { servingName, rules: [rule({ dnsNames: everything })] };
  const reserved = /belongs to the certificate service itself, and no rule can grant it/;
  for (const name of [servingName, "*.shop.svc.cluster.local"]) {
    assert.match(reasonOf({ "dns-names": name }, changes), reserved);
    granted({ "dns-names": name });
  }
  assert.match(reasonOf({ cn_template: servingName }, changes), reserved);
  const pod = { name: "cert-service" };
  assert.match(
    reasonOf({}, { ...changes, pod }),
    /the pod's own name .* belongs to the certificate/,
  );
  const usual = "cert-service.csi-cert-driver.internal";
  const rules = [rule({ dnsNames: ["*.csi-cert-driver.internal"] })];
  assert.match(reasonOf({ "dns-names": usual }, { servingName, rules }), reserved);
  granted({ "dns-names": "other.shop.svc.cluster.local" }, changes);
});

Deno.test("a common name that is granted is a subjectAltName as well", () => {
  const { names } = granted({ "cn_template": "{metadata.name}.{metadata.namespace}.svc" });
  assert.equal(names.commonName, "web-0.shop.svc");
  assert(names.dnsNames.includes("web-0.shop.svc"));
  assert.match(reasonOf({ "cn_template": "admin" }), /cn_template "admin" is not one or two/);
  granted({ "cn_template": "{metadata.name}" });
});

Deno.test("a rule can exclude bare names, also as the common name", () => {
  const changes = { rules: [rule({ bareNames: false })] };
  assert.deepEqual(granted({}, changes).names.dnsNames, ["web-0.shop.svc.cluster.local"]);
  assert.equal(decide({ "cn_template": "{metadata.name}" }, changes).kind, "denied");
  assert.equal(grants("web-0", changes), false);
});

Deno.test("a pod may have its own SPIFFE ID, and at most one", () => {
  const own = "spiffe://cluster.local/ns/shop/sa/web";
  const another = "spiffe://cluster.local/ns/shop/sa/admin";
  granted({ "uri-sans": own });
  const others = [another, "spiffe://cluster.local/ns/bank/sa/web"]
    .concat("spiffe://other.org/ns/shop/sa/web", "https://shop.example.com/");
  for (const uri of others) assert.match(reasonOf({ "uri-sans": uri }), /not the pod's own/, uri);
  const rules = [rule({ uris: ["spiffe://cluster.local/ns/shop/sa/*"] })];
  granted({ "uri-sans": another }, { rules });
  assert.match(reasonOf({ "uri-sans": `${own},${another}` }, { rules }), /more than one SPIFFE/);
});

Deno.test("a pod's own SPIFFE ID is in the trust domain, and its DNS names in the cluster's", () => {
  const changes = { trustDomain: "prod.example" };
  const { names } = granted({ "uri-sans": "spiffe://prod.example/ns/shop/sa/web" }, changes);
  assert.deepEqual(names.uris, ["spiffe://prod.example/ns/shop/sa/web"]);
  assert(names.dnsNames.includes("web-0.shop.svc.cluster.local"));
  const other = { "uri-sans": "spiffe://cluster.local/ns/shop/sa/web" };
  assert.match(reasonOf(other, changes), /not the pod's own "spiffe:\/\/prod\.example\/ns\//);
  // Pods keep their former SPIFFE IDs by a rule while the trust domain changes.
  granted(other, { ...changes, rules: [rule({ uris: ["spiffe://cluster.local/ns/shop/sa/*"] })] });
});

Deno.test("no rule grants a pod the URI of a node or of the service, or the name of the service", () => {
  const rules = [rule({
    uris: ["spiffe://cluster.local/*", "spiffe://cluster.local/*/*", "spiffe://other.example/*/*"],
    dnsNames: ["*.csi-cert-driver.internal"],
  })];
  const reserved: [string, RegExp][] = [
    ["spiffe://cluster.local/csi-cert-node/node-1", / names a node, and no rule can grant it/],
    ["spiffe://cluster.local/csi-cert-node", / names a node, /],
    ["spiffe://other.example/csi-cert-node/node-1", / names a node, /],
    ["spiffe://cluster.local/csi-cert-service", / names the certificate service, and no rule can/],
    ["spiffe://other.example/csi-cert-service/a", / names the certificate service, /],
  ];
  for (const [uri, reason] of reserved) {
    assert.match(reasonOf({ "uri-sans": uri }, { rules }), reason);
  }
  granted({ "uri-sans": "spiffe://cluster.local/csi-cert-nodes/a" }, { rules });
  const name = "cert-service.csi-cert-driver.internal";
  assert.match(reasonOf({ "dns-names": name }, { rules }), /belongs to the certificate service/);
});

Deno.test("a rule grants names label by label, to its namespaces only", () => {
  const rules = [rule({ namespaces: ["shop", "team-*"], dnsNames: ["*.apps.example.com"] })];
  assert.equal(grants("a.apps.example.com", { rules }), true);
  assert.equal(grants("*.apps.example.com", { rules }), true);
  assert.equal(grants("a.b.apps.example.com", { rules }), false);
  assert.equal(grants("apps.example.com", { rules }), false);
  assert.equal(grants("xapps.example.com", { rules }), false);
  assert.equal(grants("a.apps.example.com", { rules, pod: { namespace: "team-a" } }), true);
  assert.equal(grants("a.apps.example.com", { rules, pod: { namespace: "team" } }), false);
});

Deno.test("a wildcard in a rule for URIs matches one plain segment", () => {
  const rules = [rule({ uris: ["https://shop.example.com/*/v1"] })];
  const grantsUri = (uri: string) => decide({ "uri-sans": uri }, { rules }).kind === "granted";
  assert.equal(grantsUri("https://shop.example.com/api/v1"), true);
  const others = ["https://shop.example.com/a/b/v1", "https://shop.example.com//v1"]
    .concat("https://shop.example.com/../v1", "https://shop.example.com/a%2Fb/v1")
    .concat("https://shop.example.com/a?b/v1", "http://shop.example.com/api/v1")
    .concat("https://shop.example.com.evil.com/api/v1");
  for (const uri of others) assert.equal(grantsUri(uri), false, uri);
});

Deno.test("an address needs a range that contains it", () => {
  const ipRanges = ["10.0.0.0/8", "fd00::/8"].map(parseIpRange)
    .filter((range) => range !== undefined);
  const rules = [rule({ ipRanges })];
  const grantsIp = (ip: string) => decide({ "ip-sans": ip }, { rules }).kind === "granted";
  for (const ip of ["10.0.0.1", "10.255.255.255", "fd12::1", "::ffff:10.1.2.3"]) {
    assert.equal(grantsIp(ip), true, ip);
  }
  for (const ip of ["11.0.0.1", "9.255.255.255", "fe00::1", "::1", "::ffff:11.0.0.1"]) {
    assert.equal(grantsIp(ip), false, ip);
  }
  assert.match(reasonOf({ "ip-sans": "10.0.0.1" }), /ipRanges: \["10\.0\.0\.1\/32"\]/);
});

Deno.test("units, annotations, long validities and large keys need a rule", () => {
  assert.match(
    reasonOf({ duration: "721h" }),
    /721h \(duration or validity_days\) is over the maximum, 720h/,
  );
  granted({ duration: "720h" });
  assert.match(
    reasonOf({}, { keyAlgorithm: "rsa-4096" }),
    /rsa-4096 \(key-algorithm and key-size\) is not one of/,
  );
  const pod = { annotations: { host: "api" } };
  const templated = { "dns-names": "{metadata.annotations.host}.shop.svc" };
  assert.match(
    reasonOf(templated, { pod }),
    /dns-names "\{metadata\.annotations\.[^"]*" uses an annotation/,
  );
  const rules = [rule({
    maxValidity: Temporal.Duration.from({ hours: 8760 }),
    keyAlgorithms: ["rsa-4096"],
    annotations: true,
    organizationalUnits: ["*"],
  })];
  const all = { ...templated, duration: "8760h", "organizational_units": "Any Unit" };
  granted(all, { pod, rules, keyAlgorithm: "rsa-4096" });
  assert.equal(decide({}, { rules }).kind, "denied", "the rule's key types replace the default's");
});

Deno.test("a first certificate under the minimum validity is denied, and a renewal is raised to it", () => {
  const asked = { duration: "59m59s" };
  assert.equal(
    reasonOf(asked),
    "the policy for namespace shop does not allow it: a validity of 59m59s (duration or " +
      "validity_days) is under the minimum, 1h (MIN_VALIDITY or a rule's minValidity); ask for 1h or " +
      "more, or for a policy rule with minValidity: 59m59s",
  );
  assert.equal(granted({ duration: "1h" }).validity.total("hours"), 1);
  assert.equal(granted(asked, { isRenewal: true }).validity.total("hours"), 1);
  assert.equal(granted({ duration: "2h" }, { isRenewal: true }).validity.total("hours"), 2);
  assert.match(reasonOf({ duration: "721h" }, { isRenewal: true }), /over the maximum, 720h/);
});

Deno.test("a rule replaces the minimum validity, up to the maximum, for first certificates and renewals", () => {
  const hours = (minValidity: Temporal.DurationLike, maxValidity?: Temporal.DurationLike) => [
    rule({
      minValidity: Temporal.Duration.from(minValidity),
      ...(maxValidity && { maxValidity: Temporal.Duration.from(maxValidity) }),
    }),
  ];
  const longer = hours({ hours: 24 });
  assert.match(
    reasonOf({ duration: "23h" }, { rules: longer }),
    /23h .* is under the minimum, 24h /,
  );
  const renewed = granted({ duration: "23h" }, { rules: longer, isRenewal: true });
  assert.equal(renewed.validity.total("hours"), 24);
  granted({ duration: "10m" }, { rules: hours({ minutes: 10 }) });
  assert.match(reasonOf({ duration: "9m" }, { rules: hours({ minutes: 10 }) }), /minimum, 10m /);
  // The default is raised, and the maximum of another rule limits the minimum.
  assert.equal(granted({}, { rules: hours({ hours: 200 }) }).validity.total("hours"), 200);
  const limited = [...longer, rule({ maxValidity: Temporal.Duration.from({ hours: 2 }) })];
  assert.equal(granted({ duration: "2h" }, { rules: limited }).validity.total("hours"), 2);
  // Of several rules the last one applies, to its namespaces only.
  const last = [...longer, rule({ minValidity: Temporal.Duration.from({ hours: 3 }) })];
  assert.equal(granted({ duration: "3h" }, { rules: last }).validity.total("hours"), 3);
  const others = [
    rule({ namespaces: ["bank"], minValidity: Temporal.Duration.from({ hours: 24 }) }),
  ];
  granted({ duration: "1h" }, { rules: others });
});

Deno.test("where a rule's maximum validity is under the minimum, it is the minimum too", () => {
  const rules = [rule({ maxValidity: Temporal.Duration.from({ minutes: 30 }) })];
  assert.match(reasonOf({ duration: "29m" }, { rules }), /29m .* is under the minimum, 30m /);
  assert.match(reasonOf({ duration: "31m" }, { rules }), /31m .* is over the maximum, 30m/);
  assert.equal(granted({ duration: "30m" }, { rules }).validity.total("minutes"), 30);
  assert.equal(granted({}, { rules }).validity.total("minutes"), 30, "the default");
  const renewed = granted({ duration: "10s" }, { rules, isRenewal: true });
  assert.equal(renewed.validity.total("minutes"), 30);
});

Deno.test("a rule with a shorter maximum validity shortens the default validity", () => {
  const rules = [rule({ maxValidity: Temporal.Duration.from({ hours: 1 }) })];
  assert.equal(granted({}, { rules }).validity.total("hours"), 1);
});
