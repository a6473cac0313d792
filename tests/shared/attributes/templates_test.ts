import assert from "node:assert/strict";
import fc from "fast-check";
import {
  checkTemplate,
  expandTemplate,
  templateFields,
} from "../../../src/shared/attributes/templates.ts";

const pod = {
  name: "web-0",
  namespace: "shop",
  uid: "0c5e1f7a-9d2b-4c1e-8f3a-1b2c3d4e5f60",
  serviceAccountName: "web",
  nodeName: "node-1",
  hostname: "web-0",
  subdomain: "web",
  labels: { "app.kubernetes.io/name": "shop", tier: "front", empty: "" },
  annotations: { alias: "{metadata.uid}" },
};

for (
  const [template, expected] of [
    ["", ""],
    ["plain.example", "plain.example"],
    ["{metadata.name}.{metadata.namespace}.example", "web-0.shop.example"],
    ["{metadata.uid}", pod.uid],
    ["{spec.serviceAccountName}-{spec.nodeName}", "web-node-1"],
    ["{spec.hostname}.{spec.subdomain}", "web-0.web"],
    ["{metadata.labels.app.kubernetes.io/name}{metadata.labels.tier}", "shopfront"],
    ["{metadata.annotations.alias}", "{metadata.uid}"],
  ] as const
) {
  Deno.test(`the template "${template}" becomes "${expected}"`, () => {
    assert.equal(checkTemplate(template), undefined);
    assert.deepEqual(expandTemplate(template, pod), { kind: "text", text: expected });
  });
}

for (
  const field of [
    "metadata.labels.absent",
    "metadata.labels.empty",
    "metadata.labels.constructor",
    "metadata.annotations.toString",
  ]
) {
  Deno.test(`a pod without ${field} leaves the template unfilled`, () => {
    const template = `{metadata.name}.{${field}}`;
    assert.equal(checkTemplate(template), undefined);
    assert.deepEqual(expandTemplate(template, pod), { kind: "missing", field });
  });
}

Deno.test("a pod that lacks every optional field leaves each of them missing", () => {
  const { name, namespace, uid, serviceAccountName } = pod;
  const bare = { name, namespace, uid, serviceAccountName };
  for (const field of ["spec.nodeName", "spec.hostname", "spec.subdomain", "metadata.labels.a"]) {
    assert.deepEqual(expandTemplate(`{${field}}`, bare), { kind: "missing", field });
  }
});

for (
  const [template, problem] of [
    ["{", /a "\{" without its "\}"/],
    ["a}", /a "\}" without its "\{"/],
    ["{{metadata.name}}", /a "\{" without its "\}"/],
    ["}{", /a "\{" without/],
    ["{}", /^\{\} is not one of \{metadata\.name\}, /],
    ["{metadata.nam}", /^\{metadata\.nam\} is not one of /],
    ["{ metadata.name }", /is not one of/],
    ["{metadata.labels}", /is not one of/],
    ["{metadata.labels.}", /is not one of/],
    ["{metadata.labels.-a}", /is not one of/],
    ["{metadata.labels.a/b/c}", /is not one of/],
    [`{metadata.labels.${"a".repeat(64)}}`, /is not one of/],
    ["{spec.nodeName\u0000}", /^\{spec\.nodeName\\u\{0\}\} is not one of/],
    [`{${"x".repeat(10_000)}}`, /^\{x{60}…\} is not one of/],
    ["{__proto__}", /is not one of/],
  ] as const
) {
  Deno.test(`the template "${template.slice(0, 40).replace("\u0000", "NUL")}" is refused`, () => {
    assert.match(checkTemplate(template) ?? "", problem);
  });
}

Deno.test("every field that is promised can be written", () => {
  for (const field of templateFields) assert.equal(checkTemplate(`{${field}}`), undefined);
});

Deno.test("no text, however long, stops the templates", () => {
  const unit = fc.constantFrom("{", "}", "a", ".", "metadata.name", "metadata.labels.", "/", "\n");
  const block = fc.array(unit, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(block, fc.constantFrom("", "}", "{"), (text, end) => {
      const long = text.repeat(10_000 / text.length) + end;
      checkTemplate(long);
      expandTemplate(long, pod);
    }),
    { interruptAfterTimeLimit: 10_000, markInterruptAsFailure: true },
  );
});

Deno.test("text without braces comes out as it went in", () => {
  fc.assert(fc.property(fc.string().filter((text) => !/[{}]/.test(text)), (text) => {
    assert.equal(checkTemplate(text), undefined);
    assert.deepEqual(expandTemplate(text, pod), { kind: "text", text });
  }));
});
