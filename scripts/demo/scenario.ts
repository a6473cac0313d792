import type { PodSpec, PodVolume } from "../support/kubelet.ts";
import type { Program } from "../support/programs.ts";
import { type Certificate, readCertificates } from "../../src/shared/x509/certificate.ts";
import { note, progress, shown, table } from "./console.ts";
import { attackFromPod, listFiles, verifyFiles } from "./inspection.ts";
import { PairReader } from "./reader.ts";
import { mountsBelow, type TestEnvironment } from "./test_environment.ts";

/** The lifetime of the certificate that is watched being renewed. */
export const shortLifetime = "10s";
/** The longest wait for a renewal. */
const renewalMs = 15_000;

export const policy =
  `# Without a rule a pod gets names of its own only, and no organizational unit.
rules:
  - namespaces: [billing]
    organizationalUnits: [Payments]
`;

const pods: PodSpec[] = [
  { name: "web-0", namespace: "shop" },
  { name: "web-1", namespace: "shop", readOnly: false },
  {
    name: "ledger",
    namespace: "billing",
    attributes: {
      validity_days: "7",
      cn_template: "{metadata.name}.{metadata.namespace}.svc",
      organizational_units: "Payments",
    },
  },
  { name: "legacy", namespace: "shop", attributes: { "key-algorithm": "rsa", "key-size": "2048" } },
  { name: "courier", namespace: "shop", attributes: { duration: shortLifetime } },
];

/** Publishes every pod's volume at once, as a kubelet does when pods land on its node together. */
export async function publishPods(environment: TestEnvironment): Promise<PodVolume[]> {
  const volumes = pods.map((pod) => environment.kubelet.admit(pod));
  const started = performance.now();
  await Promise.all(volumes.map((volume) => environment.kubelet.publish(volume)));
  const ms = Math.round(performance.now() - started);
  shown(`${volumes.length} volumes published at once in ${ms} ms, one with an RSA key`);
  const rows = [];
  for (const { pod, targetPath } of volumes) {
    const leaf = await leafAt(targetPath);
    rows.push([
      `${pod.namespace}/${pod.name}`,
      leaf.commonName ?? "",
      leaf.dnsNames.filter((name) => name !== leaf.commonName).join(" "),
      `${leaf.serialNumber.slice(0, 12)}…`,
      leaf.notAfter.toString({ smallestUnit: "second" }),
    ]);
  }
  table(["POD", "COMMON NAME", "OTHER NAMES", "SERIAL", "EXPIRES"], rows);
  return volumes;
}

/** Shows one volume's mount and files, and that a pod cannot change them. */
export async function inspect(
  environment: TestEnvironment,
  volumes: readonly PodVolume[],
): Promise<void> {
  const [first] = volumes;
  if (!first) throw new Error("no volume was published");
  const mounts = await mountsBelow(environment.kubelet.root);
  if (environment.options.plain) {
    note("volumes are plain directories: mounting is not permitted here");
  } else {
    if (mounts.length !== volumes.length) {
      throw new Error(`${volumes.length} volumes, but ${mounts.length} mounts: ${mounts}`);
    }
    shown(`${mounts.length} mounts, one for each volume, each a tmpfs of its own`);
  }
  table(["MODE", "FILE"], await listFiles(first.targetPath));
  if (!environment.options.plain) {
    for (const { pod, targetPath } of volumes.slice(0, 2)) {
      const refused = await attackFromPod(targetPath);
      const asked = pod.readOnly ?? true ? "readOnly: true" : "readOnly: false";
      shown(`nothing can be written there (${asked}): ${refused.join(", ")} refused`);
    }
  }
  for (const line of await verifyFiles(volumes, `${environment.caDir}/tls.crt`)) shown(line);
}

/** A republish of a healthy volume issues nothing, also while the service is away. */
export async function republish(
  environment: TestEnvironment,
  volumes: readonly PodVolume[],
): Promise<void> {
  for (const volume of volumes.slice(0, 4)) {
    const before = await leafAt(volume.targetPath);
    await environment.kubelet.publish(volume);
    const after = await leafAt(volume.targetPath);
    if (before.serialNumber !== after.serialNumber) {
      throw new Error(`the republish of ${volume.pod.name} issued a second certificate`);
    }
  }
  shown("published again, as the kubelet does every minute: the same certificates");
}

/** Renewals that happen while a reader looks on and each program is killed in turn. */
export async function renewals(
  environment: TestEnvironment,
  volume: PodVolume,
  programs: { driver: Program; service: Program },
): Promise<{ driver: Program; service: Program; reads: number }> {
  let { driver, service } = programs;
  await using reader = new PairReader(volume.targetPath);
  const next = async (what: string) => {
    const { serialNumber } = await leafAt(volume.targetPath);
    const renewed = await awaitRenewal(volume, serialNumber, reader);
    shown(`${what}: ${serialNumber.slice(0, 12)}… → ${renewed.serialNumber.slice(0, 12)}…`);
  };
  await next(`renewed at 80 % of its ${shortLifetime}`);
  await driver.stop("SIGKILL");
  driver = await environment.startDriver();
  await environment.kubelet.register();
  await next("driver killed and started again, renewed on time");
  await service.stop("SIGKILL");
  service = await environment.startService();
  await next("service killed and started again, renewed on time");
  reader.check();
  const { reads, serialNumbers } = reader.seen;
  if (serialNumbers.size < 4) throw new Error(`the reader saw ${serialNumbers.size} certificates`);
  shown(
    `a reader read the pair ${reads} times meanwhile: ${serialNumbers.size} certificates, ` +
      "each with its own key",
  );
  return { driver, service, reads };
}

/** Unpublishes every volume and verifies that nothing remains. */
export async function unpublish(
  environment: TestEnvironment,
  volumes: readonly PodVolume[],
): Promise<void> {
  for (const volume of volumes) await environment.kubelet.unpublish(volume);
  const mounts = await mountsBelow(environment.kubelet.root);
  if (mounts.length > 0) throw new Error(`mounts remain: ${mounts.join(", ")}`);
  const records = [];
  for await (const { name } of Deno.readDir(environment.recordsDir)) {
    if (!name.startsWith(".")) records.push(name);
  }
  if (records.length > 0) throw new Error(`records remain: ${records.join(", ")}`);
  const leftPods = [];
  for await (const { name } of Deno.readDir(`${environment.kubelet.root}/pods`)) {
    leftPods.push(name);
  }
  if (leftPods.length > 0) throw new Error(`pod directories remain: ${leftPods.join(", ")}`);
  shown(`${volumes.length} volumes unpublished: no mount, record or directory remains`);
}

async function awaitRenewal(
  { targetPath }: PodVolume,
  serialNumber: string,
  reader: PairReader,
): Promise<Certificate> {
  using _waiting = progress(() =>
    `waiting for the renewal of ${serialNumber.slice(0, 12)}…, ${reader.seen.reads} reads so far`
  );
  const deadline = Date.now() + renewalMs;
  while (Date.now() < deadline) {
    const leaf = await leafAt(targetPath);
    // Reported once the reader has seen it as well, so that it is counted.
    if (leaf.serialNumber !== serialNumber && reader.seen.serialNumbers.has(leaf.serialNumber)) {
      return leaf;
    }
    reader.check();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${serialNumber} was not renewed within ${renewalMs / 1000} s`);
}

async function leafAt(targetPath: string): Promise<Certificate> {
  const text = await Deno.readTextFile(`${targetPath}/tls.crt`);
  const leaf = readCertificates(text)?.[0];
  if (!leaf) throw new Error(`${targetPath}/tls.crt is not a certificate`);
  return leaf;
}
