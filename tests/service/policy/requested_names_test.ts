import assert from "node:assert/strict";
import { computeRequestedNames } from "../../../src/service/policy/requested_names.ts";
import { parseAttributes } from "../../../src/shared/attributes/attribute_parser.ts";
import type { PodFields } from "../../../src/shared/attributes/templates.ts";
import { web } from "./policy_fixture.ts";

function names(attributes: Record<string, string>, pod: PodFields = web) {
  const parsed = parseAttributes(attributes);
  assert.deepEqual(parsed.problems, []);
  return computeRequestedNames(pod, parsed.understood, "cluster.local");
}

function requested(attributes: Record<string, string>, pod: PodFields = web) {
  const outcome = names(attributes, pod);
  assert(outcome.kind === "names", JSON.stringify(outcome));
  return outcome.names;
}

function problem(attributes: Record<string, string>, pod: PodFields = web): string {
  const outcome = names(attributes, pod);
  assert(outcome.kind === "invalid");
  return outcome.reason;
}

/** A pod whose full name has so many characters. */
function podOfLength(length: number): PodFields {
  return { ...web, name: "a".repeat(length - ".shop.svc.cluster.local".length) };
}

Deno.test("a pod without attributes has its full name and its bare name", () => {
  const { defaults: { fullName, bareName }, commonName, dnsNames } = requested({});
  assert.equal(fullName, "web-0.shop.svc.cluster.local");
  assert.equal(bareName, "web-0");
  assert.equal(commonName, fullName);
  assert.deepEqual(dnsNames, []);
});

Deno.test("a full name of 64 characters is the common name, one of 65 is shortened", () => {
  assert.equal(requested({}, podOfLength(64)).commonName.length, 64);
  assert.equal(requested({}, podOfLength(64)).commonName.slice(-6), ".local");
  const { commonName, defaults } = requested({}, podOfLength(65));
  assert.equal(commonName.length, 64);
  assert.equal(commonName.slice(-9), "-0f8fad5b");
  assert.equal(defaults.fullName?.length, 65);
});

Deno.test("a pod whose full name is not a DNS name has no such subjectAltName", () => {
  const long = requested({}, { ...web, name: "a".repeat(253) });
  assert.equal(long.defaults.fullName, undefined);
  assert.equal(long.defaults.bareName, undefined);
  assert.equal(long.commonName.length, 64);
  const dotted = { ...web, name: `${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}` };
  assert.equal(requested({}, dotted).defaults.fullName?.length, 205);
});

Deno.test("a dotted or reserved pod name is not a bare name", () => {
  const notBare = ["a.b", "localhost", "kubernetes", "cert-service", "csi-cert-driver"]
    .concat("internal", "svc", "cluster", "local", "csi-cert-system");
  for (const name of notBare) {
    assert.equal(requested({}, { ...web, name }).defaults.bareName, undefined, name);
  }
});

Deno.test("templates are expanded with the pod's fields", () => {
  const asked = requested({
    "cn_template": "{metadata.name}.{metadata.namespace}",
    "dns-names": "{metadata.labels.app}.shop.svc, *.{metadata.namespace}.svc",
    "uri-sans": "spiffe://cluster.local/ns/{metadata.namespace}/sa/{spec.serviceAccountName}",
  }, { ...web, labels: { app: "front" } });
  assert.equal(asked.commonName, "web-0.shop");
  assert.deepEqual(asked.dnsNames, ["front.shop.svc", "*.shop.svc"]);
  assert.deepEqual(asked.uris, ["spiffe://cluster.local/ns/shop/sa/web"]);
});

Deno.test("a missing field is named, and whether the pod lacks it or the service cannot look it up", () => {
  const attributes = { "dns-names": "{metadata.labels.app}.shop.svc" };
  assert.match(
    problem(attributes),
    /dns-names: .* needs \{metadata\.labels\.app\}, which the certificate service does not know/,
  );
  assert.match(problem(attributes, { ...web, labels: {} }), /which this pod does not have/);
});

Deno.test("a template whose text is not a name is rejected with that text", () => {
  for (const app of ["Front_End", "a..b", "*.*", "x".repeat(64), "a b", "a.", "{metadata.name}"]) {
    const reason = problem({ "dns-names": "{metadata.labels.app}.shop" }, {
      ...web,
      labels: { app },
    });
    assert.match(reason, /dns-names: .* became "/, app);
  }
  const evil = { ...web, annotations: { n: "a\u0000b" } };
  assert.match(
    problem({ "dns-names": "{metadata.annotations.n}.shop" }, evil),
    /became "a\\u\{0\}b/,
  );
});

Deno.test("a common name over 64 characters is rejected unless it is the pod's full name", () => {
  const long = podOfLength(80);
  const own = "{metadata.name}.{metadata.namespace}.svc.cluster.local";
  assert.equal(requested({ "cn_template": own }, long).commonName, requested({}, long).commonName);
  const other = { "cn_template": "x.{metadata.name}.{metadata.namespace}.svc" };
  assert.match(
    problem(other, long),
    /cn_template: .* became ".*", which has 68 characters; a common name has at most 64/,
  );
});

Deno.test("templates that use annotations are listed", () => {
  const asked = requested(
    { "dns-names": "{metadata.annotations.host}.shop, x.shop" },
    { ...web, annotations: { host: "web" } },
  );
  assert.deepEqual(asked.fromAnnotations, [
    { attribute: "dns-names", template: "{metadata.annotations.host}.shop" },
  ]);
});
