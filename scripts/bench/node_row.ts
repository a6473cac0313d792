import { openOpensslEngine } from "../../src/service/openssl/openssl_engine.ts";
import { readCertificate } from "../../src/shared/x509/certificate.ts";
import {
  createCertificateRequest,
  parseCertificateRequest,
} from "../../src/shared/x509/certificate_request.ts";
import { verifyChain } from "../../src/shared/x509/chain.ts";
import { type Issuer, loadIssuer } from "../../src/service/x509/issuer.ts";
import { exportPrivateKey, generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { randomSerialNumber, signLeaf } from "../../src/service/x509/leaf_certificate.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { webCryptoEngine } from "../../src/shared/crypto/web_crypto_engine.ts";
import { type Ca, makeCa } from "./authorities.ts";
import { batch } from "./load.ts";
import { NodeProcess } from "./node_process.ts";
import { measured, type Result, skipped } from "./result.ts";
import { startService } from "./service_process.ts";
import { programCommand, type Settings } from "./settings.ts";
import { interleave, percentile, ratioOf } from "./statistics.ts";

const row = 2;
const here = (name: string) => new URL(name, import.meta.url).pathname;

/** One volume, from NodePublishVolume to OK, and the parts of it. */
export async function nodeRow(settings: Settings, directory: string): Promise<Result[]> {
  if (!settings.mounts) {
    return [skipped(row, "publish a volume", "mounting is not permitted on this machine")];
  }
  const ca = await makeCa(directory, "P-256");
  await using resources = new AsyncDisposableStack();
  const service = await startService(settings, directory, ca);
  resources.use(service.process);
  const node = resources.use(
    await NodeProcess.start({ settings, directory: `${directory}/ours`, service }),
  );
  const idle = resources.use(
    await NodeProcess.startOther(`${directory}/idle`, [
      ...[Deno.execPath(), "run", "--quiet", "-A", here("idle_driver.ts")],
    ]),
  );
  const bare = await bareCryptography(ca);
  const results: Result[] = [];
  for (const concurrency of [1, 100]) {
    const count = settings.quick ? 100 : 300;
    const rounds = settings.quick ? 3 : 5;
    const all: Record<string, number[]> = { ours: [], idle: [] };
    const median = (name: string, driver: NodeProcess) => async () => {
      const took = await publishes(driver, count, concurrency);
      all[name]?.push(...took);
      return percentile(took, 0.5);
    };
    const candidates = {
      ours: median("ours", node),
      idle: median("idle", idle),
      bare: () => bare(20),
    };
    await publishes(node, 50, concurrency);
    await publishes(idle, 50, concurrency);
    const samples = await interleave(rounds, candidates);
    results.push(...lines(concurrency, samples, all));
  }
  results.push(...await parts(settings, directory, ca, service));
  return results;
}

/** Publishes volumes and unpublishes them; returns the sorted milliseconds of the publishes. */
async function publishes(
  node: NodeProcess,
  count: number,
  concurrency: number,
): Promise<number[]> {
  const volumes = await Promise.all(Array.from({ length: count }, (_, n) => node.admit(n)));
  const took = await batch(count, concurrency, (n) => node.publish(volumes[n]!));
  await batch(count, 16, (n) => node.unpublish(volumes[n]!));
  return took.sort((left, right) => left - right);
}

function lines(
  concurrency: number,
  samples: Record<"ours" | "idle" | "bare", number[]>,
  all: Record<string, number[]>,
): Result[] {
  const name = `publish, ${concurrency} at once`;
  // A hundred publishes at once wait for the processor.
  const share = Math.max(1, concurrency / Math.min(2, navigator.hardwareConcurrency));
  const least = samples.idle.map((ms, round) => ms + (samples.bare[round] ?? NaN) * share);
  const what = "do-nothing driver + bare cryptography";
  const reference = { what, samples: least, ratio: ratioOf(samples.ours, least) };
  const sorted = [...all.ours ?? []].sort((left, right) => left - right);
  const target = concurrency === 1 ? { atMost: 1.5 } : {};
  return [
    measured(row, `${name}, p50`, "ms", samples.ours, { reference, ...target }),
    ...[0.9, 0.99].map((share) =>
      measured(row, `${name}, p${share * 100}`, "ms", [percentile(sorted, share)])
    ),
    measured(row, `${name}: the do-nothing driver`, "ms", samples.idle),
  ];
}

async function issuerOf(ca: Ca): Promise<Issuer> {
  const texts = [ca.certificateFile, ca.privateKeyFile].map((file) => Deno.readTextFileSync(file));
  const loaded = await loadIssuer(texts[0]!, texts[1]!, Temporal.Now.instant());
  if (loaded.kind === "refused") throw new Error(loaded.problem);
  return loaded.issuer;
}

/** Milliseconds of a key, two signatures and two verifications, each where a publish makes it; the median of some. */
async function bareCryptography(ca: Ca): Promise<(times: number) => Promise<number>> {
  const service = await openOpensslEngine() ?? webCryptoEngine;
  const issuer = await issuerOf(ca);
  const bytes = crypto.getRandomValues(new Uint8Array(400));
  const scheme = { name: "ECDSA", hash: "SHA-256" } as const;
  const one = async () => {
    const { privateKey } = await generateKeyPair("ecdsa-p256");
    const request = await webCryptoEngine.sign(privateKey, "ecdsa-p256", bytes);
    const { spki } = issuer.certificate;
    await service.verify({ spki, scheme, signature: request, bytes });
    const signature = await service.sign(issuer.privateKey, "ecdsa-p256", bytes);
    await webCryptoEngine.verify({ spki, scheme, signature, bytes });
  };
  return async (times) => percentile((await batch(times, 1, one)).sort((a, b) => a - b), 0.5);
}

/** Each step of a publish by itself. */
async function parts(
  settings: Settings,
  directory: string,
  ca: Ca,
  service: { address: string },
): Promise<Result[]> {
  const took = await pureParts(ca, settings.quick ? 50 : 200);
  const times = `${directory}/times.json`;
  const command = [...programCommand(settings, "csi-driver").slice(0, 1), "run", "--quiet", "-A"];
  {
    await using node = await NodeProcess.start({
      settings,
      directory: `${directory}/timed`,
      service,
      command: [...command, here("timed_driver.ts")],
      env: { BENCH_TIMES: times },
    });
    await publishes(node, 50, 1);
    await publishes(node, settings.quick ? 100 : 300, 1);
    await node.process.stop("SIGTERM");
  }
  const edges: Record<string, number[]> = JSON.parse(await Deno.readTextFile(times));
  // The first ones ran before the code was warm.
  const warm = Object.entries(edges).map(([name, samples]) => [name, samples.slice(50)] as const);
  const steps = [...Object.entries(took), ...warm];
  return steps.map(([name, samples]) => measured(row, `  of it: ${name}`, "ms", samples));
}

async function pureParts(ca: Ca, count: number): Promise<Record<string, number[]>> {
  const issuer = await issuerOf(ca);
  const engine = await openOpensslEngine() ?? webCryptoEngine;
  const took: Record<string, number[]> = { key: [], "certificate request": [], check: [] };
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const from = performance.now();
    const value = await work();
    took[name]?.push(performance.now() - from);
    return value;
  };
  const now = Temporal.Now.instant();
  await batch(count, 1, async () => {
    const keys = await timed("key", () => generateKeyPair("ecdsa-p256"));
    const der = await timed("certificate request", () => createCertificateRequest(keys));
    const request = await parseCertificateRequest(der, engine);
    if (request.kind === "refused") throw new Error(request.problem);
    const leaf = await signLeaf(issuer, {
      publicKey: request,
      serialNumber: randomSerialNumber(),
      notBefore: now.subtract({ minutes: 5 }),
      notAfter: now.add({ hours: 24 }),
      extendedKeyUsage: ["serverAuth", "clientAuth"],
      commonName: "web-0.shop.svc.cluster.local",
      organizationalUnits: [],
      dnsNames: ["web-0.shop.svc.cluster.local", "web-0"],
      ipAddresses: [],
      uris: [],
    }, engine);
    await timed("check", async () => {
      const [read, anchor] = [readCertificate(leaf), readCertificate(issuer.certificate.der)];
      const skew = Temporal.Duration.from({ minutes: 5 });
      const verdict = await verifyChain([read!], [anchor!], now, skew);
      if (verdict.kind === "refused") throw new Error(verdict.problem);
      encodePem("CERTIFICATE", leaf);
      await exportPrivateKey(keys.privateKey);
    });
  });
  return took;
}
