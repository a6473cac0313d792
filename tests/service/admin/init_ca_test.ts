import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import { caManifest } from "../../../src/service/admin/ca_manifest.ts";
import { createCa, parseInitCaOptions } from "../../../src/service/admin/init_ca.ts";
import { readCertificates } from "../../../src/shared/x509/certificate.ts";
import { loadIssuer } from "../../../src/service/x509/issuer.ts";
import { start } from "../../support/service_fixture.ts";

const defaults = { algorithm: "ecdsa-p256", days: 3650, commonName: "csi-cert-driver CA" } as const;

Deno.test("init-ca without options makes a P-256 CA for ten years", async () => {
  const parsed = parseInitCaOptions({});
  assert.deepEqual(parsed, { kind: "options", options: defaults });
  const { certificatePem, privateKeyPem } = await createCa(defaults, start);
  const [root] = readCertificates(certificatePem) ?? [];
  assert.equal(root?.commonName, "csi-cert-driver CA");
  assert.equal(String(root?.notAfter), "2036-02-27T12:00:00Z");
  assert.equal(String(root?.notBefore), "2026-03-01T11:55:00Z");
  assert.deepEqual(root?.keyUsage?.toSorted(), ["cRLSign", "keyCertSign"]);
  const loaded = await loadIssuer(certificatePem, privateKeyPem, start);
  assert(loaded.kind === "loaded");
  assert.deepEqual(loaded.warnings, []);
});

Deno.test("init-ca reports every option that is wrong", () => {
  const outcome = parseInitCaOptions({ key: "dsa", days: "0", subject: " x" });
  assert(outcome.kind === "refused");
  assert.match(outcome.problems[0] ?? "", /^--key is "dsa"; expected one of ecdsa-p256/);
  assert.match(outcome.problems[1] ?? "", /^--days is "0"; expected a whole number from 1/);
  assert.match(outcome.problems[2] ?? "", /^--subject is " x"; expected a common name/);
  for (const days of ["-1", "1.5", "36501", "1e3", "", "ten"]) {
    assert.equal(parseInitCaOptions({ days }).kind, "refused", days);
  }
  for (const subject of ["", "x".repeat(65), "a\u0000b", "a\nb"]) {
    assert.equal(parseInitCaOptions({ subject }).kind, "refused", subject);
  }
  assert.equal(parseInitCaOptions({ subject: "x".repeat(64), days: "36500" }).kind, "options");
});

Deno.test("the manifest contains the namespace, the CA and the trust bundle", async () => {
  const ca = await createCa(defaults, start);
  const documents = parseAllDocuments(caManifest(ca));
  const [namespace, secret, bundle] = documents.map((document) => document.toJS());
  assert.equal(documents.length, 3);
  // Applied after the installation it must not take labels off the namespace: it is the same document.
  const installed = await Deno.readTextFile(
    new URL("../../../deploy/base/csi-driver.yaml", import.meta.url),
  );
  const [installedNamespace] = parseAllDocuments(installed)
    .map((document) => document.toJS()).filter((object) => object?.kind === "Namespace");
  assert.deepEqual(namespace, installedNamespace);
  assert.deepEqual(secret.metadata, { name: "csi-ca-secret", namespace: "csi-cert-system" });
  assert.equal(secret.type, "kubernetes.io/tls");
  assert.equal(atob(secret.data["tls.crt"]), ca.certificatePem);
  assert.equal(atob(secret.data["tls.key"]), ca.privateKeyPem);
  assert.deepEqual(bundle, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "csi-cert-trust-bundle", namespace: "csi-cert-system" },
    data: { "ca.crt": ca.certificatePem },
  });
});
