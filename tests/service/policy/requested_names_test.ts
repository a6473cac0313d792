import assert from "node:assert/strict";
import { computeRequestedNames } from "../../../src/service/policy/requested_names.ts";
import { parseAttributes } from "../../../src/shared/attributes/attribute_parser.ts";
import type { PodFields } from "../../../src/shared/attributes/templates.ts";

const web: PodFields = {
  namespace: "shop",
  name: "web-0",
  uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
  serviceAccountName: "web",
};

function names(attributes: Record<string, string>, pod: PodFields = web) {
  const parsed = parseAttributes(attributes);
  assert(parsed.kind === "attributes", JSON.stringify(parsed));
  return computeRequestedNames(pod, parsed.attributes, "cluster.local");
}

function granted(attributes: Record<string, string>, pod: PodFields = web) {
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
  const { ownName, bareName, commonName, dnsNames } = granted({});
  assert.equal(ownName, "web-0.shop.svc.cluster.local");
  assert.equal(bareName, "web-0");
  assert.equal(commonName, ownName);
  assert.deepEqual(dnsNames, []);
});

Deno.test("a full name of 64 characters is the common name, one of 65 is cut and marked", () => {
  assert.equal(granted({}, podOfLength(64)).commonName.length, 64);
  assert.equal(granted({}, podOfLength(64)).commonName.slice(-6), ".local");
  const { commonName, ownName } = granted({}, podOfLength(65));
  assert.equal(commonName.length, 64);
  assert.equal(commonName.slice(-9), "-0f8fad5b");
  assert.equal(ownName?.length, 65);
});

Deno.test("a pod whose full name is none in DNS has no such subjectAltName", () => {
  const long = granted({}, { ...web, name: "a".repeat(253) });
  assert.equal(long.ownName, undefined);
  assert.equal(long.bareName, undefined);
  assert.equal(long.commonName.length, 64);
  const dotted = { ...web, name: `${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}` };
  assert.equal(granted({}, dotted).ownName?.length, 205);
});

Deno.test("a dotted name, and one that means something of its own, is not bare", () => {
  const notBare = ["a.b", "localhost", "kubernetes", "cert-service", "csi-cert-driver"]
    .concat("internal", "svc", "cluster", "local", "csi-cert-system");
  for (const name of notBare) assert.equal(granted({}, { ...web, name }).bareName, undefined, name);
});

Deno.test("templates take in the pod's fields", () => {
  const asked = granted({
    "cn_template": "{metadata.name}.{metadata.namespace}",
    "dns-names": "{metadata.labels.app}.shop.svc, *.{metadata.namespace}.svc",
    "uri-sans": "spiffe://cluster.local/ns/{metadata.namespace}/sa/{spec.serviceAccountName}",
  }, { ...web, labels: { app: "front" } });
  assert.equal(asked.commonName, "web-0.shop");
  assert.deepEqual(asked.dnsNames, ["front.shop.svc", "*.shop.svc"]);
  assert.deepEqual(asked.uris, ["spiffe://cluster.local/ns/shop/sa/web"]);
});

Deno.test("a field that is missing is named, and whether anybody could know it", () => {
  const attributes = { "dns-names": "{metadata.labels.app}.shop.svc" };
  assert.match(
    problem(attributes),
    /dns-names: .* needs \{metadata\.labels\.app\}, which the certificate service does not know/,
  );
  assert.match(problem(attributes, { ...web, labels: {} }), /which this pod does not have/);
});

Deno.test("a template that becomes no name is refused with what it became", () => {
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

Deno.test("a common name over 64 characters is refused unless it is the pod's own name", () => {
  const long = podOfLength(80);
  const own = "{metadata.name}.{metadata.namespace}.svc.cluster.local";
  assert.equal(granted({ "cn_template": own }, long).commonName, granted({}, long).commonName);
  const other = { "cn_template": "x.{metadata.name}.{metadata.namespace}.svc" };
  assert.match(
    problem(other, long),
    /cn_template: .* became ".*", which has 68 characters; a common name has at most 64/,
  );
});

Deno.test("what was fed from annotations is said", () => {
  const asked = granted(
    { "dns-names": "{metadata.annotations.host}.shop, x.shop" },
    { ...web, annotations: { host: "web" } },
  );
  assert.deepEqual(asked.fromAnnotations, ["{metadata.annotations.host}.shop"]);
});
