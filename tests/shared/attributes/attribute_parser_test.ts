import assert from "node:assert/strict";
import fc from "fast-check";
import { parseAttributes } from "../../../src/shared/attributes/attribute_parser.ts";
import type { VolumeAttributes } from "../../../src/shared/attributes/volume_attributes.ts";
import { formatDuration } from "../../../src/shared/text/durations.ts";

function accepted(attributes: Record<string, string>): VolumeAttributes {
  const outcome = parseAttributes(attributes);
  assert.deepEqual(outcome.problems, [], JSON.stringify(attributes));
  return outcome.understood;
}

function problems(attributes: Record<string, string>) {
  const outcome = parseAttributes(attributes);
  assert.notEqual(outcome.problems.length, 0, JSON.stringify(attributes).slice(0, 200));
  return outcome.problems;
}

const list = (length: number, item: (index: number) => string) =>
  Array.from({ length }, (_, index) => item(index)).join(",");

Deno.test("a volume without attributes gets the defaults", () => {
  assert.deepEqual(accepted({}), {
    duration: undefined,
    renewBefore: undefined,
    commonNameTemplate: undefined,
    organizationalUnits: [],
    dnsNames: [],
    ipAddresses: [],
    uris: [],
    keyAlgorithm: "ecdsa-p256",
    reusePrivateKey: false,
    fileMode: undefined,
    certificateFile: "tls.crt",
    privateKeyFile: "tls.key",
    caFile: "ca.crt",
  });
});

Deno.test("every attribute is read", () => {
  const { duration, renewBefore, ...rest } = accepted({
    "duration": "1h30m",
    "renew-before": "20m",
    "cn_template": "{metadata.name}.shop.svc",
    "organizational_units": "Web Shop, ops_1",
    "dns-names": "web.shop.svc , *.web.shop.svc,{metadata.labels.app}.shop.svc,web.shop.svc",
    "ip-sans": "10.0.0.1,2001:DB8::1",
    "uri-sans": "spiffe://cluster.local/ns/{metadata.namespace}/sa/web,urn:a",
    "key-algorithm": "rsa",
    "key-size": "3072",
    "reuse-private-key": "true",
    "file-mode": "0440",
    "certificate-file": "server.pem",
    "privatekey-file": "server-key.pem",
    "ca-file": ".roots.pem",
  });
  assert.equal(formatDuration(duration ?? assert.fail()), "1h30m");
  assert.equal(formatDuration(renewBefore ?? assert.fail()), "20m");
  assert.deepEqual(rest, {
    commonNameTemplate: "{metadata.name}.shop.svc",
    organizationalUnits: ["Web Shop", "ops_1"],
    dnsNames: ["web.shop.svc", "*.web.shop.svc", "{metadata.labels.app}.shop.svc"],
    ipAddresses: ["10.0.0.1", "2001:db8::1"],
    uris: ["spiffe://cluster.local/ns/{metadata.namespace}/sa/web", "urn:a"],
    keyAlgorithm: "rsa-3072",
    reusePrivateKey: true,
    fileMode: 0o440,
    certificateFile: "server.pem",
    privateKeyFile: "server-key.pem",
    caFile: ".roots.pem",
  });
});

for (
  const [attributes, expected] of [
    [{ duration: "10s" }, { seconds: 10 }],
    [{ duration: "87600h" }, { hours: 87600 }],
    [{ validity_days: "1" }, { hours: 24 }],
    [{ validity_days: "3650" }, { hours: 87600 }],
  ] as const
) {
  Deno.test(`${JSON.stringify(attributes)} is within bounds`, () => {
    const duration = accepted(attributes).duration ?? assert.fail();
    assert.equal(Temporal.Duration.compare(duration, Temporal.Duration.from(expected)), 0);
  });
}

for (
  const [algorithm, size, expected] of [
    ["ecdsa", undefined, "ecdsa-p256"],
    ["ecdsa", "256", "ecdsa-p256"],
    ["ecdsa", "384", "ecdsa-p384"],
    [undefined, "384", "ecdsa-p384"],
    ["rsa", undefined, "rsa-2048"],
    ["rsa", "4096", "rsa-4096"],
    ["ed25519", undefined, "ed25519"],
  ] as const
) {
  Deno.test(`key-algorithm ${algorithm} with key-size ${size} is ${expected}`, () => {
    const given = {
      ...(algorithm && { "key-algorithm": algorithm }),
      ...(size && { "key-size": size }),
    };
    assert.equal(accepted(given).keyAlgorithm, expected);
  });
}

const limits = [
  ["organizational_units", 16, (index: number) => `unit ${index}`],
  ["dns-names", 64, (index: number) => `a${index}.example`],
  ["ip-sans", 32, (index: number) => `10.0.0.${index}`],
  ["uri-sans", 16, (index: number) => `urn:a:${index}`],
] as const;
for (const [attribute, limit, item] of limits) {
  Deno.test(`${attribute} holds ${limit} items and not one more`, () => {
    accepted({ [attribute]: list(limit, item) });
    const [problem, ...others] = problems({ [attribute]: list(limit + 1, item) });
    assert.deepEqual(problem, {
      attribute,
      given: `${limit + 1} items`,
      expected: `at most ${limit} items`,
    });
    assert.deepEqual(others, []);
  });
}

Deno.test("duration and validity_days exclude each other", () => {
  const [problem] = problems({ "duration": "24h", "validity_days": "1" });
  assert.equal(problem?.attribute, "validity_days");
  assert.match(problem.expected, /left out/);
});

Deno.test("renew-before is shorter than the lifetime it is taken from", () => {
  accepted({ "duration": "1h", "renew-before": "59m59s" });
  accepted({ "renew-before": "2000h" });
  for (const lifetime of [{ "duration": "60m" }, { "duration": "30m" }]) {
    const [problem] = problems({ ...lifetime, "renew-before": "1h" });
    assert.deepEqual(problem, {
      attribute: "renew-before",
      given: "1h",
      expected: "less than the duration",
    });
  }
  assert.equal(
    problems({ "validity_days": "1", "renew-before": "24h" })[0]?.expected,
    "less than the validity_days",
  );
});

Deno.test("a key size that belongs to RSA is rejected with the fix", () => {
  assert.match(problems({ "key-size": "2048" })[0]?.expected ?? "", /key-algorithm: rsa/);
  assert.match(
    problems({ "key-algorithm": "ed25519", "key-size": "256" })[0]?.expected ?? "",
    /left out/,
  );
});

Deno.test("files may swap their usual names but not share one", () => {
  accepted({ "certificate-file": "tls.key", "privatekey-file": "tls.crt" });
  const same = { "certificate-file": "x", "privatekey-file": "x", "ca-file": "x" };
  assert.equal(problems(same).length, 3);
});

Deno.test("reading is a function of the text alone: accepted lists read back the same", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9]{0,10}(\.[a-z][a-z0-9]{0,10}){0,3}$/);
  fc.assert(fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 64 }), (names) => {
    assert.deepEqual(accepted({ "dns-names": names.join(" , ") }).dnsNames, names);
  }));
});
