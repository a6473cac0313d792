import assert from "node:assert/strict";
import type { ClientCaSource } from "../../../src/service/access/client_ca_source.ts";
import { mutualTlsIdentity } from "../../../src/service/api/tls_identity.ts";
import { readCertificates } from "../../../src/shared/x509/certificate.ts";
import { Listeners } from "../../../src/shared/scheduler/listeners.ts";
import { forge } from "../../support/certificate_forge.ts";

Deno.test("without a client CA the only anchor of clients is the serving certificate, and not an empty list", async () => {
  const pair = await forge({ commonName: "serving" });
  const [first, second] = [await forge({ commonName: "one" }), await forge({ commonName: "two" })];
  const [served, changed] = [new Listeners(), new Listeners()];
  let certificates: ClientCaSource["certificates"] = [];
  const identity = mutualTlsIdentity(
    { current: () => pair, onChange: (listener) => served.add(listener) },
    {
      get certificates() {
        return certificates;
      },
      onChange: (listener) => changed.add(listener),
    },
  );
  const anchors = () =>
    readCertificates(identity.current().clientAuthoritiesPem)?.map(({ commonName }) => commonName);
  assert.deepEqual(anchors(), ["serving"]);
  certificates = [first, second].flatMap(({ certificatePem }) => readCertificates(certificatePem)!);
  assert.deepEqual(anchors(), ["one", "two"]);

  let changes = 0;
  const subscription = identity.onChange(() => changes++);
  served.call();
  changed.call();
  assert.equal(changes, 2);
  subscription[Symbol.dispose]();
  served.call();
  changed.call();
  assert.equal(changes, 2);
});
