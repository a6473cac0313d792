import assert from "node:assert/strict";
import {
  CertificateAdministration,
  CertificateService,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { Health } from "../../src/shared/gen/health_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { readCertificate, readCertificates } from "../../src/shared/x509/certificate.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { TestEnvironment } from "../../scripts/demo/test_environment.ts";
import { policy } from "../../scripts/demo/scenario.ts";
import type { PodSpec, PodVolume } from "../../scripts/support/kubelet.ts";

/** Programs run as processes, with plain directories as volumes. */
function open(): Promise<TestEnvironment> {
  return TestEnvironment.withCa({ form: "source", plain: true }, policy);
}

async function leafOf({ targetPath }: PodVolume) {
  const leaf = readCertificates(await Deno.readTextFile(`${targetPath}/tls.crt`))?.[0];
  assert.ok(leaf);
  return leaf;
}

function serviceClient(environment: TestEnvironment, address: string) {
  return connect(CertificateService, {
    address: `https://${address}`,
    trustBundle: () => Deno.readTextFileSync(`${environment.caDir}/tls.crt`),
    serverName: "cert-service.csi-cert-driver.internal",
  });
}

Deno.test("a restarted driver has its volumes after a kill: nothing is issued, and the renewals continue", async () => {
  await using environment = await open();
  const { driver: first } = await environment.startPrograms();
  const long = environment.kubelet.admit({ name: "long", namespace: "shop" });
  const short = environment.kubelet.admit({
    name: "short",
    namespace: "shop",
    attributes: { duration: "10s" },
  });
  for (const volume of [long, short]) await environment.kubelet.publish(volume);
  const before = await leafOf(long);
  await first.stop("SIGKILL");
  const second = await environment.startDriver();
  const restored = await second.logged(({ message }) => message.startsWith("restored"));
  assert.deepEqual([restored.healthy, restored.repaired, restored.removed], [2, 0, 0]);
  await environment.kubelet.register();
  await environment.kubelet.publish(long);
  assert.equal((await leafOf(long)).serialNumber, before.serialNumber);
  const renewed = await second.logged(({ message }) => message === "renewed shop/short");
  assert.equal((await leafOf(short)).serialNumber, renewed.serialNumber);
  for (const volume of [long, short]) await environment.kubelet.unpublish(volume);
});

Deno.test("a restarted service after a kill renews certificates that it does not know, and fills its inventory again", async () => {
  await using environment = await open();
  const { service: first, driver } = await environment.startPrograms();
  const spec: PodSpec = { name: "web-0", namespace: "shop", attributes: { duration: "10s" } };
  const volume = environment.kubelet.admit(spec);
  const lasting = environment.kubelet.admit({ name: "web-1", namespace: "shop" });
  for (const each of [volume, lasting]) await environment.kubelet.publish(each);
  await first.stop("SIGKILL");
  // A healthy volume does not need the service.
  await environment.kubelet.publish(lasting);
  const second = await environment.startService();
  await driver.logged(({ message }) => message === "renewed shop/web-0");
  await second.logged(({ action, accepted }) => action === "report" && Number(accepted) > 0);
  const serials = (await environment.command(["list", "-o", "json"])).split("\n")
    .map((line) => JSON.parse(line).serialNumber);
  for (const each of [volume, lasting]) {
    assert.ok(serials.includes((await leafOf(each)).serialNumber), `${each.pod.name} is listed`);
  }
});

Deno.test("an issued certificate has its audit line, though the service is killed at that instant", async () => {
  await using environment = await open();
  const service = await environment.startService();
  using client = serviceClient(environment, (await service.ready()).address);
  const certificateRequest = await createCertificateRequest(await generateKeyPair("ecdsa-p256"));
  const ask = async (n: number) => {
    const { certificateChain: [leaf] } = await client.issueCertificate({
      certificateRequest: certificateRequest as Uint8Array<ArrayBuffer>,
      pod: { namespace: "shop", name: `web-${n}`, uid: `uid-${n}`, serviceAccount: "default" },
      volume: { id: `csi-${n}`, name: "certs", attributes: {} },
    });
    service.signal("SIGKILL");
    return readCertificate(leaf!)!.serialNumber;
  };
  const answers = await Promise.allSettled(Array.from({ length: 64 }, (_, n) => ask(n)));
  await service.ended();
  const serials = answers.flatMap((answer) => answer.status === "fulfilled" ? [answer.value] : []);
  assert.ok(serials.length > 0, service.tail());
  for (const serial of serials) assert.ok(service.output.includes(`"serialNumber":"${serial}"`));
});

Deno.test("both programs report their health, and exit with code 0 on SIGTERM without leaving a socket", async () => {
  await using environment = await open();
  const service = await environment.startService();
  const driver = await environment.startDriver();
  for (const program of [service, driver]) {
    const { healthAddress } = await program.ready();
    for (const path of ["livez", "readyz"]) {
      const response = await fetch(`http://${healthAddress}/${path}`);
      assert.equal(response.status, 200, await response.text());
    }
  }
  const metrics = await fetch(`http://${(await driver.ready()).healthAddress}/metrics`);
  assert.match(await metrics.text(), /^csi_cert_volumes 0$/m);
  const ofService = await fetch(`http://${(await service.ready()).healthAddress}/metrics`);
  assert.match(await ofService.text(), /^csi_cert_inventory_certificates 0$/m);
  const readyz = await fetch(`http://${(await service.ready()).healthAddress}/readyz`);
  assert.match(await readyz.text(), /AUTHENTICATION=none/);
  using health = connect(Health, { address: `unix://${environment.adminSocket}` });
  for (const service of ["", CertificateService.typeName, CertificateAdministration.typeName]) {
    assert.equal((await health.check({ service })).status, 1, service);
  }
  for (const program of [driver, service]) {
    assert.equal((await program.stop("SIGTERM")).code, 0, program.tail());
  }
  const registration = `${environment.kubelet.registrationDir}/csi.k8s.cert-driver-reg.sock`;
  for (const socket of [`${environment.base}/csi.sock`, registration, environment.adminSocket]) {
    await assert.rejects(Deno.lstat(socket), Deno.errors.NotFound);
  }
});

Deno.test("no private key is written outside the volumes", async () => {
  await using environment = await open();
  const service = await environment.startService({ LOG_LEVEL: "trace" });
  let driver = await environment.startDriver({ LOG_LEVEL: "trace" });
  await environment.kubelet.register();
  const specs: PodSpec[] = [
    { name: "a", namespace: "shop", attributes: { "reuse-private-key": "true", duration: "10s" } },
    { name: "b", namespace: "shop", attributes: { "key-algorithm": "rsa", "key-size": "2048" } },
    { name: "c", namespace: "shop", attributes: { "key-algorithm": "ed25519" } },
  ];
  const volumes = specs.map((spec) => environment.kubelet.admit(spec));
  for (const volume of volumes) await environment.kubelet.publish(volume);
  const refused = environment.kubelet.admit({
    name: "d",
    namespace: "shop",
    attributes: { "dns-names": "kubernetes.default.svc" },
  });
  await assert.rejects(environment.kubelet.publish(refused), /kubernetes\.default\.svc/);
  await driver.logged(({ message }) => message === "renewed shop/a");
  const secrets = await Promise.all(
    [...volumes.map(({ targetPath }) => targetPath), environment.caDir]
      .map(secretLines),
  );
  await driver.stop("SIGKILL");
  driver = await environment.startDriver({ LOG_LEVEL: "trace" });
  await environment.kubelet.register();
  const written = [environment.output, await textBelow(environment.recordsDir)];
  for (const volume of volumes) await environment.kubelet.unpublish(volume);
  await driver.stop();
  await service.stop();
  written.push(environment.output, await textBelow(environment.recordsDir));
  const text = written.join("\n");
  assert.ok(text.includes("published shop/b"), "the search looks at what was written");
  assert.ok(!text.includes("PRIVATE KEY"));
  for (const line of secrets.flat()) assert.ok(!text.includes(line), "a key was written");
});

Deno.test("a program with an invalid configuration reports every error and ends with 2", async () => {
  await using environment = await open();
  await assert.rejects(
    environment.startDriver({
      NODE_ID: "two words",
      CHECK_INTERVAL: "soon",
      CSI_ENDPOINT: "tcp://x",
    }),
    (error: Error) => {
      for (const name of ["NODE_ID", "CHECK_INTERVAL", "CSI_ENDPOINT", "code 2"]) {
        assert.ok(error.message.includes(name), error.message);
      }
      return true;
    },
  );
  await Deno.writeTextFile(`${environment.base}/policy.yaml`, "rules:\n  - namespace: [x]\n");
  await assert.rejects(environment.startService(), /POLICY_FILE \S+policy\.yaml: line 2/);
  await Deno.remove(`${environment.base}/policy.yaml`);
  await assert.rejects(environment.startService(), /POLICY_FILE \S+policy\.yaml does not exist/);
});

Deno.test("a service that cannot read a CA's file reports the variable that names it, and the error", async () => {
  await using environment = await open();
  const authentication = { AUTHENTICATION: "mtls", CLIENT_CA_FILE: environment.caDir };
  await assert.rejects(
    environment.startService(authentication),
    /CLIENT_CA_FILE \S+ cannot be read: .*directory/,
  );
  await assert.rejects(
    environment.startService({ ...authentication, CLIENT_CA_FILE: `${environment.caDir}/tls.key` }),
    /CLIENT_CA_FILE \S+tls\.key: /,
  );
  const files = /CA_CERT_FILE \S+tls\.crt and CA_KEY_FILE \S+tls\.key: the CA's key cannot be used/;
  const certificate = await Deno.readTextFile(`${environment.caDir}/tls.crt`);
  await Deno.writeTextFile(`${environment.caDir}/tls.key`, certificate);
  await assert.rejects(environment.startService(), files);
  await Deno.writeTextFile(`${environment.caDir}/tls.crt`, "none");
  await assert.rejects(
    environment.startService(),
    /CA_CERT_FILE \S+tls\.crt and CA_KEY_FILE \S+tls\.key: .*CA's certificate/,
  );
});

Deno.test("init-ca makes a key that only its owner can read, never overwrites, and prints YAML for kubectl", async () => {
  await using environment = await open();
  const { mode } = await Deno.stat(`${environment.caDir}/tls.key`);
  assert.equal((mode ?? 0) & 0o777, 0o600);
  const key = await Deno.readTextFile(`${environment.caDir}/tls.key`);
  await assert.rejects(environment.command(["init-ca", "--out", environment.caDir]), /exists/i);
  assert.equal(await Deno.readTextFile(`${environment.caDir}/tls.key`), key);
  await assert.rejects(
    environment.command(["init-ca"]),
    /expected one of --out DIR, --kubernetes and --rotate FILE/,
  );
  await assert.rejects(
    environment.command(["init-ca", "--out", "x", "--days", "0"]),
    /--days is "0"/,
  );
  const yaml = await environment.command(["init-ca", "--kubernetes", "--key", "ecdsa-p384"]);
  for (const kind of ["Namespace", "Secret", "ConfigMap"]) {
    assert.match(yaml, RegExp(`kind: ${kind}`));
  }
});

/** The key's lines, but for those that the public key in the certificate happens to share. */
async function secretLines(directory: string): Promise<string[]> {
  const certificate = await Deno.readTextFile(`${directory}/tls.crt`);
  const lines = (await Deno.readTextFile(`${directory}/tls.key`)).split("\n").filter((line) =>
    line.length > 40 && !line.startsWith("-----") && !certificate.includes(line)
  );
  assert.ok(lines.length > 0);
  return lines;
}

async function textBelow(directory: string): Promise<string> {
  const texts = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) texts.push(await textBelow(path));
    else if (isFile) texts.push(await Deno.readTextFile(path));
  }
  return texts.join("\n");
}
