import assert from "node:assert/strict";
import { checkPolicy, parsePodArguments } from "../../../src/service/admin/check_policy.ts";
import { policy } from "../../support/service_fixture.ts";

const file = `
rules:
  - namespaces: [shop, "team-*"]
    dnsNames: ["*.shop.example.com"]
    organizationalUnits: [Payments]
    ipRanges: [10.0.0.0/8]
  - namespaces: ["*"]
    keyAlgorithms: [ecdsa-p256, rsa-4096]
    maxValidity: 2160h
`;

/** What check-policy prints for a policy file, without the title, in columns. */
function preview(text: string, attributes: Record<string, string> = {}): string[] {
  const pod = { namespace: "shop", name: "web-0", serviceAccount: "web", attributes };
  const outcome = checkPolicy(text, policy(), pod);
  assert(outcome.kind === "granted", JSON.stringify(outcome));
  return outcome.text.split("\n").map((line) => line.trim().replace(/ {2,}/g, " | ")).slice(1);
}

function check(attributes: Record<string, string>, namespace = "shop", name = "web-0") {
  const pod = { namespace, name, serviceAccount: "web", attributes };
  return checkPolicy(file, policy(), pod);
}

Deno.test("check-policy prints what a pod gets, and which rule grants it", () => {
  const outcome = check({
    "dns-names": "pay.shop.example.com,web.shop.svc",
    "ip-sans": "10.1.2.3",
    "uri-sans": "spiffe://cluster.local/ns/shop/sa/web",
    organizational_units: "Payments",
    duration: "2000h",
    "key-algorithm": "rsa",
    "key-size": "4096",
  });
  assert(outcome.kind === "granted", JSON.stringify(outcome));
  assert.deepEqual(outcome.text.split("\n").map((line) => line.trim().replace(/ {2,}/g, " | ")), [
    "pod shop/web-0 gets a certificate:",
    "common name | web-0.shop.svc.cluster.local | by default",
    "DNS name | web-0.shop.svc.cluster.local | by default",
    "DNS name | web-0 | by default",
    "DNS name | pay.shop.example.com | by the rule at line 3",
    "DNS name | web.shop.svc | by default",
    "IP address | 10.1.2.3 | by the rule at line 3",
    "URI | spiffe://cluster.local/ns/shop/sa/web | by default",
    "organizational unit | Payments | by the rule at line 3",
    "validity | 2000h | by the rule at line 7",
    "key | rsa-4096 | by the rule at line 7",
  ]);
});

Deno.test("check-policy prints the rule that grants a name and a lifetime and excludes the usual key", () => {
  const rule = "dnsNames: [www.example.com], maxValidity: 2000h, keyAlgorithms: [ed25519]";
  const attributes = {
    "dns-names": "www.example.com",
    duration: "2000h",
    "key-algorithm": "ed25519",
  };
  assert.deepEqual(preview(`rules: [{namespaces: [shop], ${rule}}]`, attributes).slice(-3), [
    "DNS name | www.example.com | by the rule at line 1",
    "validity | 2000h | by the rule at line 1",
    "key | ed25519 | by default",
  ]);
});

Deno.test("check-policy grants a pod's bare name as its common name by default", () => {
  const outcome = check({ "cn_template": "{metadata.name}" });
  assert(outcome.kind === "granted", JSON.stringify(outcome));
  assert.match(outcome.text, /common name +web-0 +by default/);
});

Deno.test("check-policy prints the rule that shortens the default validity or raises what is requested", () => {
  const rules = (key: string) => `rules: [{namespaces: [shop], ${key}}]`;
  const validity = (key: string, attributes?: Record<string, string>) =>
    preview(rules(key), attributes).find((line) => line.startsWith("validity"));
  const byRule = "by the rule at line 1";
  assert.equal(validity("maxValidity: 2h"), `validity | 2h | ${byRule}`);
  assert.equal(validity("minValidity: 200h"), `validity | 200h | ${byRule}`);
  const short = { duration: "10m" };
  assert.equal(validity("minValidity: 10m", short), `validity | 10m | ${byRule}`);
  assert.equal(validity("minValidity: 10m"), "validity | 168h | by default");
});

Deno.test("check-policy prints the reserved key podCertificates where a rule states it", () => {
  const text = `rules:
  - {namespaces: "*", podCertificates: true}
  - {namespaces: [shop], podCertificates: false}
`;
  assert.equal(
    preview(text).at(-1),
    "podCertificates | false, without effect | by the rule at line 3",
  );
  assert.match(preview("rules: []").at(-1) ?? "", /^key /);
});

Deno.test("check-policy prints what grants the names of a pod that has none of its own", () => {
  const outcome = check({ "ip-sans": "10.1.2.3" }, "shop", "a".repeat(64));
  assert(outcome.kind === "granted", JSON.stringify(outcome));
  assert.deepEqual(outcome.text.split("\n").slice(1).map((line) => line.trim().split(/ {2,}/)), [
    ["common name", `${"a".repeat(55)}-00000000`, "by default"],
    ["IP address", "10.1.2.3", "by the rule at line 3"],
    ["validity", "168h", "by default"],
    ["key", "ecdsa-p256", "by default"],
  ]);
  const none = check({}, "shop", "a".repeat(64));
  assert(none.kind === "denied");
  assert.match(none.text, /gets no certificate: the certificate would have no subjectAltName: /);
});

Deno.test("check-policy prints why a pod gets nothing, as the pod's event would", () => {
  const denied = check({ "dns-names": "pay.shop.example.com" }, "dev");
  assert(denied.kind === "denied");
  assert.match(denied.text, /^pod dev\/web-0 gets no certificate: the policy for namespace dev /);
  assert.match(denied.text, /dns-names "pay\.shop\.example\.com"/);
  const short = check({ duration: "10s" });
  assert(short.kind === "denied");
  assert.match(short.text, / 10s \(duration or validity_days\) is under the minimum, 1h \(MIN_/);
  const wrong = check({ "dns-name": "x" });
  assert(wrong.kind === "denied");
  assert.match(wrong.text, /dns-name: is "x", expected/);
});

Deno.test("check-policy expands templates with the pod's labels and annotations", () => {
  const attributes = {
    "dns-names": "{metadata.labels.app}.shop.svc,{metadata.annotations.team}.shop.svc",
  };
  const pod = { namespace: "shop", name: "web-0", serviceAccount: "web", attributes };
  const fields = { labels: { app: "api" }, annotations: { team: "pay" } };
  const rules = 'rules: [{namespaces: "*", annotations: true}]';
  const outcome = checkPolicy(rules, policy(), { ...pod, ...fields });
  assert(outcome.kind === "granted", JSON.stringify(outcome));
  assert.match(outcome.text, /api\.shop\.svc +by default/);
  assert.match(outcome.text, /pay\.shop\.svc +by default/);
  const without = checkPolicy(rules, policy(), pod);
  assert(without.kind === "denied");
  assert.match(without.text, /needs \{metadata\.labels\.app\}, which this pod does not have/);
});

Deno.test("a bad policy file is rejected with the lines of its problems", () => {
  const pod = { namespace: "shop", name: "web-0", serviceAccount: "web", attributes: {} };
  const outcome = checkPolicy("rules:\n  - namespaces: [Shop]\n", policy(), pod);
  assert(outcome.kind === "refused");
  assert.match(outcome.problems.join(), /^line 2, rule 1: namespaces is "Shop"/);
});

Deno.test("check-policy reports every option that is wrong", () => {
  const read = parsePodArguments({
    pod: "shop/web-0",
    serviceAccount: undefined,
    attributes: ["uri-sans=https://x/?a=b", "dns-names="],
    labels: ["app=web"],
    annotations: ["example.com/team=a=b"],
  });
  assert.deepEqual(read, {
    kind: "pod",
    pod: {
      namespace: "shop",
      name: "web-0",
      serviceAccount: "default",
      attributes: { "uri-sans": "https://x/?a=b", "dns-names": "" },
      labels: { app: "web" },
      annotations: { "example.com/team": "a=b" },
    },
  });
  for (const pod of [undefined, "web-0", "a/b/c", "Shop/web", "shop/", "/web"]) {
    const given = {
      pod,
      serviceAccount: "W",
      attributes: ["x", "=y"],
      labels: ["app"],
      annotations: ["=z"],
    };
    const refused = parsePodArguments(given);
    assert(refused.kind === "refused", `${pod}`);
    assert.equal(refused.problems.length, 6);
    assert.match(refused.problems.join("\n"), /--label is "app"; expected KEY=VALUE/);
    assert.match(refused.problems.join("\n"), /--annotation is "=z"; expected KEY=VALUE/);
    assert.match(refused.problems.join("\n"), /--service-account is "W"; expected the name of a/);
  }
});
