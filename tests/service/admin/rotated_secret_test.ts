import assert from "node:assert/strict";
import { parse } from "yaml";
import { caManifest } from "../../../src/service/admin/ca_manifest.ts";
import { initCa } from "../../../src/service/admin/commands.ts";
import { createCa, defaultCa, type NewCa } from "../../../src/service/admin/init_ca.ts";
import { readCertificates } from "../../../src/shared/x509/certificate.ts";
import { forge, now } from "../../support/certificate_forge.ts";

const current = await createCa(defaultCa, now);

/** As `kubectl get secret -o json` prints it. */
function secretOf(
  { certificatePem, privateKeyPem }: NewCa,
  { annotations = {}, data = {}, type = "kubernetes.io/tls" } = {},
): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Secret",
    type,
    metadata: {
      name: "our-ca",
      namespace: "our-system",
      annotations,
      resourceVersion: "17",
      uid: "9c1f0a1c",
    },
    data: { "tls.crt": btoa(certificatePem), "tls.key": btoa(privateKeyPem), ...data },
  });
}

async function rotate(text: string, args: readonly string[] = []) {
  const paths: string[] = [];
  const result = await initCa([...args, "--rotate", "-"], {
    now,
    write: () => Promise.reject(new Error("writes nothing")),
    read: (path) => {
      paths.push(path);
      return Promise.resolve(text);
    },
  });
  assert.deepEqual(paths, ["-"]);
  if (result.kind === "refused") return { problem: result.problems.join() };
  assert(result.kind === "done" && result.exitCode === 0);
  const secret = parse(result.output);
  const entries = Object.entries(secret.data as Record<string, string>)
    .map(([key, text]) => [key, atob(text)]);
  return { secret, data: Object.fromEntries(entries) as Record<string, string> };
}

Deno.test("the rotated Secret has a new CA, and the present one as the former CA", async () => {
  const { secret, data } = await rotate(secretOf(current), ["--subject", "Next CA"]);
  assert.deepEqual(secret.metadata, { name: "our-ca", namespace: "our-system" });
  assert.equal(secret.type, "kubernetes.io/tls");
  assert.deepEqual(Object.keys(data ?? {}), [
    "tls.crt",
    "tls.key",
    "tls-previous.crt",
    "tls-previous.key",
  ]);
  assert.equal(data?.["tls-previous.crt"], current.certificatePem);
  assert.equal(data?.["tls-previous.key"], current.privateKeyPem);
  assert.equal(readCertificates(data?.["tls.crt"] ?? "")?.[0]?.commonName, "Next CA");
  assert.notEqual(data?.["tls.key"], current.privateKeyPem);
});

Deno.test("a Secret is read from YAML, from a manifest of init-ca, and with another type", async () => {
  const yaml = caManifest(current);
  const { secret } = await rotate(yaml);
  assert.deepEqual(secret.metadata, { name: "csi-ca-secret", namespace: "csi-cert-system" });
  assert.equal((await rotate(secretOf(current, { type: "Opaque" }))).secret.type, "Opaque");
  const numeric = await rotate(secretOf(current).replace('"our-ca"', '"2026"'));
  assert.equal(numeric.secret.metadata.name, "2026");
});

Deno.test("a Secret in a list is read, and one with comments in any encoding above its PEM", async () => {
  assert.notEqual(
    (await rotate(JSON.stringify({ items: [JSON.parse(secretOf(current))] }))).secret,
    undefined,
  );
  const utf8 = new TextEncoder();
  const latin1Comment = Uint8Array.fromHex("2320f60a");
  for (const comment of [utf8.encode("# ключ\n"), latin1Comment]) {
    const bytes = Uint8Array.of(...comment, ...utf8.encode(current.certificatePem));
    const { data } = await rotate(secretOf(current, { data: { "tls.crt": bytes.toBase64() } }));
    assert(data?.["tls-previous.crt"]?.endsWith(current.certificatePem));
  }
});

Deno.test("roots of ca.crt remain, but not the present CA's own certificate", async () => {
  const other = await forge({ commonName: "Other root" });
  const pem = current.certificatePem + other.certificatePem;
  const { data } = await rotate(secretOf(current, { data: { "ca.crt": btoa(pem) } }));
  const names = readCertificates(data?.["ca.crt"] ?? "")?.map(({ commonName }) => commonName);
  assert.deepEqual(names, ["Other root"]);
  const alone = await rotate(
    secretOf(current, { data: { "ca.crt": btoa(current.certificatePem) } }),
  );
  assert.equal(alone.data?.["ca.crt"], undefined);
});

Deno.test("what is no CA's Secret, or must not be rotated so, is refused with the reason", async () => {
  const expired = await createCa({ ...defaultCa, days: 1 }, now.subtract({ hours: 48 }));
  const other = await createCa(defaultCa, now);
  const marked = (key: string, value: string) =>
    secretOf(current, { annotations: { [key]: value } });
  const cases: [string, RegExp][] = [
    ["", /contains 0 Secrets; expected one/],
    ["a: [", /is not YAML; expected the output of kubectl get secret/],
    ["kind: ConfigMap", /contains 0 Secrets/],
    [`${caManifest(current)}---\n${secretOf(current)}`, /contains 2 Secrets/],
    ["kind: Secret", /has no tls\.crt and tls\.key in base64/],
    [secretOf(current, { data: { "tls.key": "%" } }), /has no tls\.crt and tls\.key in base64/],
    [secretOf(current, { data: { "ca.crt": "%" } }), /ca\.crt of its Secret is not base64/],
    [secretOf({ ...current, privateKeyPem: other.privateKeyPem }), /key does not belong to/],
    [secretOf(expired), /the present CA cannot sign until the new one does: .* expired at/],
    [marked("cert-manager.io/certificate-name", "csi-ca"), /cert-manager makes this Secret/],
    [
      marked("csi-cert-driver/old-key-compromised", "true"),
      /would mark the present key as compromised: remove it/,
    ],
  ];
  for (const [text, expected] of cases) {
    const { problem } = await rotate(text);
    assert.match(problem ?? "", /^--rotate -: /);
    assert.match(problem ?? "", expected);
    assert.doesNotMatch(problem ?? "", /PRIVATE KEY/);
  }
});

Deno.test("init-ca needs exactly one of --out, --kubernetes and --rotate", async () => {
  const environment = {
    now,
    write: () => Promise.resolve(),
    read: () => Promise.resolve(secretOf(current)),
  };
  for (const args of [[], ["--kubernetes", "--rotate", "x"], ["--out", "x", "--rotate", "x"]]) {
    const result = await initCa(args, environment);
    assert(result.kind === "refused");
    assert.deepEqual(result.problems, [
      "expected one of --out DIR, --kubernetes and --rotate FILE",
    ]);
  }
});
