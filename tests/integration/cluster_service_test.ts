import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { createCa } from "../../src/service/admin/init_ca.ts";
import { systemClock } from "../../src/shared/scheduler/system_clock.ts";
import { readCertificate, readCertificates } from "../../src/shared/x509/certificate.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { attestDriver, driverPod } from "../support/attested_driver.ts";
import { refusal } from "../support/refusal.ts";
import { readRevocation } from "../support/revocation_output.ts";
import { writeKubeconfig } from "../support/kubeconfig.ts";
import { shippedPermissions } from "../../src/service/kubernetes/permissions.ts";
import { podObject } from "../../scripts/support/api_pod.ts";
import { ApiServer } from "../../scripts/support/api_server.ts";
import { Program } from "../../scripts/support/programs.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

const namespace = "csi-cert-system";
const wait = { timeoutMs: 30_000 };
const podUid = "0f8fad5b-d9cb-469f-a165-70867728950e";

/** A cluster's API, and the service as a process that reads KUBECONFIG. */
async function open() {
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await ApiServer.start());
  const folder = stack.use(await temporaryFolder());
  api.rules = shippedPermissions;
  const KUBECONFIG = await writeKubeconfig(folder.path, api);
  const ADMIN_SOCKET = `${folder.path}/admin.sock`;
  const kept = stack.move();
  const start = () =>
    kept.use(
      new Program("cert-service", "source", {
        KUBECONFIG,
        LISTEN_ADDR: "127.0.0.1:0",
        ATTESTATION_LISTEN_ADDR: "127.0.0.1:0",
        HEALTH_ADDR: "127.0.0.1:0",
        CA_SECRET_NAMESPACE: namespace,
        CA_ROTATION_DELAY: "1s",
        ADMIN_SOCKET,
      }),
    );
  const bundle = () => {
    const stored = api.objects.get("configmaps", namespace, "csi-cert-trust-bundle");
    return (stored?.data as Record<string, string> | undefined)?.["ca.crt"] ?? "";
  };
  return {
    api,
    start,
    bundle,
    /** Runs one of the administrator's commands to its end. */
    async command(...args: string[]): Promise<string> {
      await using program = new Program("cert-service", "source", { ADMIN_SOCKET }, args);
      const { code } = await program.ended();
      assert.equal(code, 0, program.tail());
      return program.output;
    },
    /** Resolves when the ConfigMap contains this many roots. */
    async published(count: number) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = () => readCertificates(bundle())?.length === count && resolve();
      using _listening = api.objects.listen(look);
      look();
      await promise;
    },
    /** Puts a new CA into the Secret. */
    async putCa(commonName: string, annotations: Record<string, string> = {}) {
      const now = Temporal.Now.instant();
      const ca = await createCa({ algorithm: "ecdsa-p256", days: 10, commonName }, now);
      api.objects.put("secrets", {
        metadata: { namespace, name: "csi-ca-secret", annotations },
        data: { "tls.crt": btoa(ca.certificatePem), "tls.key": btoa(ca.privateKeyPem) },
      });
      return ca;
    },
    /** The client of a node's driver, attested at the service that serves there. */
    async driver(
      { address, attestationAddress }: { address: string; attestationAddress: string },
      node: string,
    ) {
      const attestationPort = Number(attestationAddress.split(":").at(-1));
      const target = { api, address: `https://${address}`, attestationPort, folder: folder.path };
      const trustBundlePem = bundle();
      const driver = kept.use(
        await attestDriver({ ...target, trustBundlePem }, node, systemClock),
      );
      assert.equal(driver.identity?.problem, undefined);
      return driver.client;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function request() {
  return {
    certificateRequest: await createCertificateRequest(await generateKeyPair("ecdsa-p256")),
    pod: { namespace: "shop", name: "web-0", uid: podUid, serviceAccount: "web" },
    volume: { id: "csi-1", name: "certs", attributes: {} },
  };
}

Deno.test("the service as a process: waits for its Secret, trusts the API, rotates, and keeps its denials", async () => {
  await using cluster = await open();
  const { api } = cluster;
  const first = cluster.start();
  const waiting = await first.logged(({ message }) => message.startsWith("not ready on"));
  assert.match(waiting.message, /the CA does not exist: create Secret/);
  await cluster.putCa("One");
  const addresses = await first.ready();
  assert.match(
    await (await fetch(`http://${addresses.healthAddress}/readyz`)).text(),
    /^ok\nsigning with CN=One/,
  );

  api.objects.put("pods", podObject());
  const driver = await cluster.driver(addresses, "node-1");
  const attested = await first.logged(({ action }) => action === "attest");
  const { uid: driverUid } = driverPod("node-1");
  assert.deepEqual(
    [attested.outcome, attested.node, attested.callerServiceAccount, attested.tokenId],
    ["issued", "node-1", "csi-cert-system/csi-cert-driver", "JTI=token"],
  );
  assert.equal(attested.callerPodUid, driverUid);
  const issuer = async (client = driver) => {
    const { certificateChain: [leaf = new Uint8Array()] } = await client.issueCertificate(
      await request(),
      wait,
    );
    return readCertificate(leaf)?.issuer;
  };
  assert.equal(await issuer(), "CN=One");
  const audited = await first.logged(({ action }) => action === "issue");
  assert.deepEqual(
    [audited.outcome, audited.node, audited.callerPodUid, audited.podUid],
    ["issued", "node-1", driverUid, podUid],
  );
  const other = await cluster.driver(addresses, "node-2");
  const denied = await refusal(other.issueCertificate(await request(), wait));
  assert.deepEqual([denied.code, denied.message.includes("node-2")], [
    status.PERMISSION_DENIED,
    true,
  ]);

  await cluster.putCa("Two");
  await first.logged(({ message }) => message === "signing with CN=Two");
  assert.equal(readCertificates(cluster.bundle())?.length, 2);
  // The connection that was accepted by the node CA of One remains open.
  assert.equal(await issuer(), "CN=Two");
  await cluster.putCa("Three", { "csi-cert-driver/old-key-compromised": "true" });
  await first.logged(({ message }) => message === "signing with CN=Three");
  await first.logged(({ message }) => message === "CN=Two is no longer trusted");
  // This replica knows before it has published the change.
  await cluster.published(1);
  // The node CA of the compromised CA is removed with it, at once: the drivers have to attest again.
  assert.equal((await refusal(issuer())).code, status.UNAVAILABLE);
  const reattested = await cluster.driver(addresses, "node-1");
  assert.equal(await issuer(reattested), "CN=Three");

  const revocation = await cluster.command("revoke", "--pod-uid", podUid, "--reason", "test");
  assert.equal(readRevocation(revocation).podUid, podUid);
  const revoked = await refusal(reattested.issueCertificate(await request(), wait));
  assert.equal(revoked.code, status.PERMISSION_DENIED);
  // Killed: Deno 2.9.6 crashes when the server of an idle connection closes it (denoland/deno#36788).
  await first.stop("SIGKILL");
  assert.doesNotMatch(first.output, /PRIVATE KEY|eyJ/);

  const second = cluster.start();
  const restarted = await second.ready();
  const again = await cluster.driver(restarted, "node-1");
  const still = await refusal(again.issueCertificate(await request(), wait));
  assert.match(still.message, /were revoked/);
});

Deno.test("the service as a process: names the ConfigMap and the missing rule while it may not write the trust bundle", async () => {
  await using cluster = await open();
  const { api } = cluster;
  api.forbidden.add("patch configmaps csi-cert-system/csi-cert-trust-bundle");
  await cluster.putCa("One");
  const program = cluster.start();
  const waiting = await program.logged(({ message }) => message.startsWith("not ready on"));
  assert.match(
    waiting.message,
    /the trust bundle in ConfigMap csi-cert-system\/csi-cert-trust-bundle cannot be read or written: .*it lacks a Role in namespace csi-cert-system .*"csi-cert-trust-bundle".*"patch"/,
  );
  assert.doesNotMatch(waiting.message, /the CA has not been loaded/);
  api.forbidden.clear();
  await program.ready();
});
