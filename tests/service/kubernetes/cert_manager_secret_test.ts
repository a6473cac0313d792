import assert from "node:assert/strict";
import { caSecretSource } from "../../../src/service/kubernetes/ca_secret.ts";
import type { NewCa } from "../../../src/service/admin/init_ca.ts";
import { forge, type Forged, type Forging } from "../../support/certificate_forge.ts";
import { openReplica } from "../ca/replica.ts";
import { openApi, pass, secret } from "./kubernetes_fixture.ts";

/** A Secret as cert-manager 1.18 writes it for a Certificate with isCA: true. */
function certManagerSecret({ certificatePem, privateKeyPem }: NewCa, caCertificatePem: string) {
  return {
    metadata: {
      ...secret,
      uid: "5be3b1e4-4b4b-4bd5-9d3e-4a6bd6a9f4a7",
      annotations: {
        "cert-manager.io/alt-names": "",
        "cert-manager.io/certificate-name": "csi-ca",
        "cert-manager.io/common-name": "csi-cert-driver CA",
        "cert-manager.io/ip-sans": "",
        "cert-manager.io/issuer-group": "cert-manager.io",
        "cert-manager.io/issuer-kind": "ClusterIssuer",
        "cert-manager.io/issuer-name": "company-root",
        "cert-manager.io/uri-sans": "",
      },
      labels: { "controller.cert-manager.io/fao": "true" },
    },
    type: "kubernetes.io/tls",
    data: {
      "tls.crt": btoa(certificatePem),
      "tls.key": btoa(privateKeyPem),
      "ca.crt": btoa(caCertificatePem),
    },
  };
}

/** A replica that follows the Secret in the cluster. */
async function open(before?: Pick<ReturnType<typeof openReplica>, "document">) {
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await openApi());
  const { clock } = api;
  const replica = stack.use(openReplica({ clock, ...before && { document: before.document } }));
  const source = caSecretSource(api.connection, secret, { clock, random: () => 0.5 });
  const stopping = new AbortController();
  const following = (async () => {
    for await (const state of source.watch(stopping.signal)) replica.source.report(state);
  })();
  stack.defer(async () => {
    stopping.abort();
    await following;
  });
  const kept = stack.move();
  const status = () => replica.caController.statusLines().join("\n");
  return {
    ...replica,
    clock,
    status,
    put: (object: Parameters<typeof api.server.objects.put>[1]) =>
      api.server.objects.put("secrets", object),
    until: (condition: () => boolean) => pass(clock, condition),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** A CA that is valid for years around the machine's time. */
function makeCa(commonName: string, forging: Forging = {}): Promise<Forged> {
  const now = Temporal.Now.instant();
  const [notBefore, notAfter] = [now.subtract({ hours: 1 }), now.add({ hours: 24 * 1000 })];
  return forge({ commonName, notBefore, notAfter, ...forging });
}

Deno.test("a CA that cert-manager's selfSigned issuer renews is rotated, with a new key and with the same one", async () => {
  await using one = await open();
  const first = await makeCa("First");
  one.put(certManagerSecret(first, first.certificatePem));
  await one.until(() => one.signs() === "First");
  assert.equal(one.trusts(), "First");
  for (const [name, keys] of [["Always", undefined], ["Never", first.keys]] as const) {
    const before = one.signs();
    const renewed = await makeCa(name, keys === undefined ? {} : { keys });
    one.put(certManagerSecret(renewed, renewed.certificatePem));
    await one.until(() => one.trusts().endsWith(name));
    assert.equal(one.signs(), before);
    await one.clock.advance({ minutes: 10 });
    await one.until(() => one.signs() === name);
    assert.match(one.status(), new RegExp(`"CN=${before}" is trusted until`));
  }
  assert.equal(one.trusts(), "First,Always,Never");
});

Deno.test("an intermediate that cert-manager's ca issuer renews below the same root signs at once", async () => {
  await using one = await open();
  const root = await makeCa("Root");
  const below = (name: string) => makeCa(name, { issuer: root });
  one.put(certManagerSecret(await below("First"), root.certificatePem));
  await one.until(() => one.signs() === "First");
  await one.clock.advance({ hours: 1 });
  one.put(certManagerSecret(await below("Second"), root.certificatePem));
  await one.until(() => one.signs() === "Second");
  assert.equal(one.trusts(), "Root");
});

Deno.test("what cert-manager writes before it has a certificate leaves the former CA signing", async () => {
  await using one = await open();
  const first = await makeCa("First");
  const object = certManagerSecret(first, first.certificatePem);
  one.put(object);
  await one.until(() => one.signs() === "First");
  // A temporary certificate, as with cert-manager.io/issue-temporary-certificate, is no CA.
  const temporary = await makeCa("Temporary", { ca: false });
  one.put(certManagerSecret(temporary, ""));
  await one.until(() =>
    /the new CA cannot be used: .*"CN=Temporary" is not a CA/.test(one.status())
  );
  // A key without a certificate.
  const next = await makeCa("Next");
  one.put({ ...object, data: { "tls.crt": "", "tls.key": btoa(next.privateKeyPem) } });
  await one.until(() => /expected the CA's certificate as a PEM block/.test(one.status()));
  assert.deepEqual([one.signs(), one.trusts()], ["First", "First"]);
  one.put(certManagerSecret(next, next.certificatePem));
  await one.until(() => one.trusts() === "First,Next");
  await one.clock.advance({ minutes: 10 });
  await one.until(() => one.signs() === "Next");
});

Deno.test("a former pair that was copied within the Secret survives the renewal, and a restart signs with it", async () => {
  await using one = await open();
  const first = await makeCa("First");
  const object = certManagerSecret(first, first.certificatePem);
  // kubectl patch with the operation copy, before the renewal.
  const former = {
    "tls-previous.crt": object.data["tls.crt"],
    "tls-previous.key": object.data["tls.key"],
  };
  one.put({ ...object, data: { ...object.data, ...former } });
  await one.until(() => one.signs() === "First");
  const next = await makeCa("Next");
  const renewed = certManagerSecret(next, next.certificatePem);
  const both = { ...renewed, data: { ...renewed.data, ...former } };
  one.put(both);
  await one.until(() => one.trusts() === "First,Next");
  await using restarted = await open(one);
  restarted.put(both);
  await restarted.until(() => restarted.signs() === "First");
  assert.equal(restarted.trusts(), "First,Next");
});
