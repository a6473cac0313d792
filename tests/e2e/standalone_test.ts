import assert from "node:assert/strict";
import { Program } from "../support/programs.ts";
import { apply, kubectl } from "./support/kubectl.ts";
import { onNode, records, volumeMounts } from "./support/node.ts";
import { driverName, Pod } from "./support/pods.ts";

const folder = "/run/standalone";
const registry = "/var/lib/kubelet/plugins_registry";

/** A CA for nodes, and one node's certificate by it: nothing of it signs for pods. */
async function nodeIdentity(): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const openssl = (...args: string[]) => onNode("openssl", "req", "-x509", ...key, ...args);
  await openssl(
    "-subj",
    "/CN=nodes",
    "-keyout",
    `${folder}/nodes.key`,
    "-out",
    `${folder}/nodes.crt`,
  );
  await openssl(
    ...["-CA", `${folder}/nodes.crt`, "-CAkey", `${folder}/nodes.key`, "-subj", "/CN=e2e-node"],
    ...["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=clientAuth"],
    ...["-addext", "subjectAltName=URI:spiffe://cluster.local/csi-cert-node/e2e-node"],
    ...["-keyout", `${folder}/node.key`, "-out", `${folder}/node.crt`],
  );
}

Deno.test("both programs serve a kubelet as plain processes that never ask the API", async () => {
  await Deno.mkdir(folder);
  await nodeIdentity();
  await using making = new Program("cert-service", "bundle", {}, ["init-ca", "--out", folder]);
  assert.equal((await making.ended()).code, 0, making.output);
  // Without this object a kubelet does not tell a driver which pod a volume is for.
  await apply({
    apiVersion: "storage.k8s.io/v1",
    kind: "CSIDriver",
    metadata: { name: driverName },
    spec: {
      attachRequired: false,
      podInfoOnMount: true,
      volumeLifecycleModes: ["Ephemeral"],
      fsGroupPolicy: "None",
      requiresRepublish: true,
    },
  });
  await using service = new Program("cert-service", "bundle", {
    LISTEN_ADDR: "127.0.0.1:50052",
    HEALTH_ADDR: "off",
    CA_CERT_FILE: `${folder}/tls.crt`,
    CA_KEY_FILE: `${folder}/tls.key`,
    AUTHENTICATION: "mtls",
    CLIENT_CA_FILE: `${folder}/nodes.crt`,
  });
  const { address } = await service.ready();
  await using driver = new Program("csi-driver", "bundle", {
    NODE_ID: "e2e-node",
    CSI_ENDPOINT: `unix://${folder}/csi.sock`,
    REGISTRATION_DIR: registry,
    CERT_SERVICE_ADDR: `https://${address}`,
    CERT_SERVICE_CA_FILE: `${folder}/tls.crt`,
    CERT_SERVICE_CLIENT_CERT_FILE: `${folder}/node.crt`,
    CERT_SERVICE_CLIENT_KEY_FILE: `${folder}/node.key`,
    CERT_BASE_PATH: `/var/lib/csi-certs`,
    HEALTH_ADDR: "off",
  });
  await driver.ready();
  {
    await using pod = await Pod.start({ name: "standalone", attributes: { duration: "10s" } });
    const { serialNumber } = await pod.certificate();
    await pod.renewed(serialNumber);
  }
  assert.deepEqual(await volumeMounts(), []);
  assert.deepEqual(await records(), []);
  for (const program of [driver, service]) {
    assert.equal((await program.stop()).code, 0, program.tail());
  }
  await kubectl(["delete", "csidriver", driverName]);
});
