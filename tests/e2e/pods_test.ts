import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { system } from "./support/install.ts";
import { apply, kubectl, until } from "./support/kubectl.ts";
import { records, volumeDirectories, volumeMounts } from "./support/node.ts";
import { Pod, podObject } from "./support/pods.ts";

/** Prints nothing and succeeds if certificate and key are a pair and verify with ca.crt. */
const verifyPair = "cd $DIR && openssl verify -x509_strict -CAfile ca.crt tls.crt >/dev/null && " +
  'test "$(openssl x509 -in tls.crt -noout -pubkey)" = "$(openssl pkey -in tls.key -pubout)"';

Deno.test("the example pod starts with a pair that openssl in its container accepts", async () => {
  const file = fileURLToPath(new URL("../../deploy/example-pod.yaml", import.meta.url));
  await kubectl(["apply", "-f", file]);
  await using pod = new Pod({ name: "example" });
  await pod.ready();
  assert.equal(await pod.shell(`DIR=/etc/certs; ${verifyPair} && echo a pair`), "a pair");
  assert.equal(await pod.shell("id -u"), "1000");
  const names = await pod.shell(
    "openssl x509 -in /etc/certs/tls.crt -noout -subject -ext subjectAltName",
  );
  assert.match(names, /CN = example\.default\.svc\.cluster\.local/);
  for (const name of ["example.default.svc.cluster.local", "example", "example.default.svc"]) {
    assert.match(names, new RegExp(`DNS:${name.replaceAll(".", "\\.")}(,|\\s|$)`));
  }
});

Deno.test("two pods talk TLS and verify each other by name with nothing but ca.crt", async () => {
  await using server = await Pod.start({ name: "tls-server" });
  await using client = await Pod.start({ name: "tls-client" });
  const { status } = await server.object();
  await server.shell(
    "cd /certs && (openssl s_server -accept 8443 -cert tls.crt -key tls.key -CAfile ca.crt " +
      "-Verify 1 -verify_return_error -www >/tmp/log 2>&1 &) ; sleep 1",
  );
  const connect = (name: string, identity: string) =>
    client.tryShell(
      `cd /certs && echo | openssl s_client -connect ${status.podIP}:8443 -CAfile ca.crt ` +
        `${identity} -verify_return_error -verify_hostname ${name} -quiet -no_ign_eof 2>&1; echo "=$?"`,
    );
  const own = "-cert tls.crt -key tls.key";
  const name = "tls-server.default.svc.cluster.local";
  assert.match((await connect(name, own)).stdout, /=0\s*$/);
  assert.match((await connect("other.default.svc.cluster.local", own)).stdout, /ostname mismatch/);
});

Deno.test("an ordinary user reads the files, by its group where there is an fsGroup", async () => {
  const user = { runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true };
  await using plain = await Pod.start({ name: "no-group", securityContext: user });
  await using grouped = await Pod.start({
    name: "with-group",
    securityContext: { ...user, fsGroup: 2345 },
  });
  const look = "stat -Lc '%a %u %g' /certs/tls.key && openssl pkey -in /certs/tls.key -noout";
  assert.equal(await plain.shell(look), "644 0 0");
  assert.equal(await grouped.shell(look), "640 0 2345");
});

Deno.test("each attribute that a volume may have shows in its files", async () => {
  await using pod = await Pod.start({
    name: "attributes",
    attributes: {
      duration: "2h",
      "renew-before": "1h",
      cn_template: "{metadata.name}.{metadata.namespace}.svc",
      "dns-names": "a.default, *.attributes.default.svc",
      "uri-sans": "spiffe://cluster.local/ns/default/sa/default",
      "key-algorithm": "rsa",
      "key-size": "2048",
      "file-mode": "0600",
      "certificate-file": "chain.pem",
      "privatekey-file": "key.pem",
      "ca-file": "roots.pem",
    },
  });
  assert.equal(
    await pod.shell("cd /certs; stat -Lc '%n %a' *"),
    "chain.pem 600\nkey.pem 600\nroots.pem 600",
  );
  const { subject, subjectAltName, publicKey, validFromDate, validToDate } = await pod.certificate(
    "chain.pem",
  );
  assert.equal(subject, "CN=attributes.default.svc");
  const names = subjectAltName?.split(", ") ?? [];
  for (
    const name of [
      "DNS:a.default",
      "DNS:*.attributes.default.svc",
      "URI:spiffe://cluster.local/ns/default/sa/default",
    ]
  ) assert.ok(names.includes(name), `${name} in ${subjectAltName}`);
  assert.equal(publicKey.asymmetricKeyType, "rsa");
  // Two hours, and the five minutes that clocks may be behind.
  assert.equal((validToDate.getTime() - validFromDate.getTime()) / 60_000, 125);
});

Deno.test("a pod that asks for another's name waits, and its events say what would help", async () => {
  await using pod = await Pod.create({
    name: "greedy",
    attributes: { "dns-names": "bank.example.com" },
  });
  const event = await until(
    "a FailedMount event",
    async () => (await pod.events()).find((event) => /^FailedMount:.*policy/.test(event)),
  );
  assert.match(event, /bank\.example\.com/);
  assert.match(event, /namespace default/);
});

/** Starts this many pods at once and returns how long it takes until all are ready. */
async function crowd(size: number, plain: boolean): Promise<number> {
  const options = Array.from({ length: size }, (_, index) => ({ name: `crowd-${index}`, plain }));
  const started = performance.now();
  await apply(...options.map(podObject));
  await kubectl(["wait", "--for=condition=Ready", "pod", "-l", "app=e2e", "--timeout=300s"]);
  return performance.now() - started;
}

/** What the driver wrote in the last two minutes; calls that went well are not in it. */
async function driverLog(): Promise<string[]> {
  const log = ["logs", "daemonset/csi-cert-driver", "--since=2m", "--tail=-1"];
  return (await kubectl(["-n", system, ...log])).split("\n");
}

const removeCrowd = () => kubectl(["delete", "pod", "-l", "app=e2e", "--timeout=180s"]);
const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

Deno.test("pods with a certificate and without become ready in turn, and what it takes is shown", async () => {
  const times = { plain: [] as number[], certificate: [] as number[] };
  for (let round = 0; round < 5; round++) {
    for (const [kind, list] of Object.entries(times)) {
      list.push(await crowd(1, kind === "plain"));
      await removeCrowd();
    }
  }
  const median = (list: number[]) => list.toSorted((a, b) => a - b)[2] ?? NaN;
  const { plain, certificate } = times;
  console.log(`emptyDir ${seconds(median(plain))}, certificate ${seconds(median(certificate))}`);
});

Deno.test("fifty pods at once are all ready, each with a certificate of its own", async () => {
  const plain = await crowd(50, true);
  await removeCrowd();
  const certificate = await crowd(50, false);
  const retried = (await driverLog()).filter((line) =>
    line.includes("NodePublishVolume") && !line.includes("greedy")
  );
  console.log(
    `50 pods: emptyDir ${seconds(plain)}, certificate ${seconds(certificate)}, ` +
      `${retried.length} calls answered with an error: ${retried.at(-1) ?? ""}`,
  );
  const texts = await Promise.all(
    (await volumeMounts()).map((path) => Deno.readTextFile(`${path}/tls.crt`)),
  );
  assert.equal(new Set(texts).size, 50);
  await removeCrowd();
});

Deno.test("deleted pods leave no mount, no record and no directory on the node", async () => {
  assert.deepEqual(await volumeMounts(), []);
  assert.deepEqual(await volumeDirectories(), []);
  assert.deepEqual(await records(), []);
});
