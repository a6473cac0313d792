import { type Ca, type CaKind, makeCa, makeRequests, type Requests } from "./authorities.ts";
import { GrpcLoad } from "./grpc_load.ts";
import { load } from "./load.ts";
import { opensslLimit } from "./openssl_speed.ts";
import { measured, type Result, skipped } from "./result.ts";
import { startCfssl, startService } from "./service_process.ts";
import type { Settings } from "./settings.ts";
import { interleave, ratioOf, summarize } from "./statistics.ts";

const row = 1;
const path = "/certservice.v1.CertificateService/IssueCertificate";
const cores = Math.min(2, navigator.hardwareConcurrency);
const targets: Readonly<Record<CaKind, number | undefined>> = {
  "P-256": 1,
  Ed25519: undefined,
  "RSA-4096": 0.8,
};

/** From a request to a chain, through the real service: certificates a second. */
export async function serviceRow(settings: Settings, directory: string): Promise<Result[]> {
  const requests = await makeRequests(256);
  const results: Result[] = [];
  for (const kind of ["P-256", "Ed25519", "RSA-4096"] as const) {
    const ca = await makeCa(directory, kind);
    results.push(...await underCa(settings, directory, { ca, kind, requests }));
  }
  return results;
}

interface Bench {
  readonly ca: Ca;
  readonly kind: CaKind;
  readonly requests: Requests;
}

async function underCa(settings: Settings, directory: string, bench: Bench): Promise<Result[]> {
  const { ca, kind, requests } = bench;
  await using resources = new AsyncDisposableStack();
  const ours = await startService(settings, directory, ca);
  resources.use(ours.process);
  const plain = await startService(settings, directory, ca, { without: "--allow-ffi" });
  resources.use(plain.process);
  const hasCfssl = await isOnPath("cfssl");
  const cfssl = hasCfssl ? await startCfssl(directory, ca) : undefined;
  if (cfssl) resources.use(cfssl.process);
  const bodies = requests.pems.map((pem) => JSON.stringify({ certificate_request: pem }));
  const options = { path, messages: requests.messages, connections: 8 };
  using grpc = new GrpcLoad({ url: `http://${ours.address}`, ...options });
  using slower = new GrpcLoad({ url: `http://${plain.address}`, ...options });
  const results: Result[] = [];
  for (const concurrency of [1, 8, 64]) {
    const seconds = settings.quick ? 1 : 2;
    const through = (call: (n: number) => Promise<unknown>) => async () =>
      (await load(concurrency, seconds, call)).perSecond;
    const candidates: Record<string, () => Promise<number>> = {
      ours: through((n) => grpc.call(n)),
      plain: through((n) => slower.call(n)),
      // The same whatever the number at once, and it takes seconds.
      ...(concurrency === 8 ? { limit: () => opensslLimit(kind, cores) } : {}),
      ...(cfssl ? { cfssl: through((n) => post(cfssl.url, bodies[n % bodies.length]!)) } : {}),
    };
    // Code that nobody has run yet is slow: not counted.
    for (const name of ["ours", "plain", "cfssl"]) await candidates[name]?.();
    const samples = await interleave(settings.quick ? 3 : 7, candidates);
    results.push(...lines(kind, concurrency, samples));
    console.error(`  ${kind} CA, ${concurrency} at once: ${describe(samples)}`);
  }
  if (!cfssl) {
    const why = hasCfssl
      ? `cfssl cannot use a CA of ${kind}`
      : "no cfssl on the PATH (golang-cfssl)";
    results.push(skipped(row, `issue, ${kind} CA: cfssl`, why));
  }
  return results;
}

function describe(samples: Record<string, number[]>): string {
  return Object.entries(samples)
    .map(([name, values]) => `${name} ${Math.round(summarize(values).median)}/s`).join(", ");
}

function lines(
  kind: CaKind,
  concurrency: number,
  samples: Record<string, number[]>,
): Result[] {
  const { ours = [], plain = [], limit, cfssl } = samples;
  const name = `issue, ${kind} CA, ${concurrency} at once`;
  const against = (what: string, theirs: number[], samples = ours) => ({
    reference: { what, samples: theirs, ratio: ratioOf(samples, theirs) },
  });
  const target = concurrency === 1 ? undefined : targets[kind];
  const bound = target === undefined ? {} : { atLeast: target };
  return [
    ...(cfssl ? [measured(row, name, "/s", ours, { ...against("cfssl", cfssl), ...bound })] : []),
    ...(limit
      ? [measured(row, name, "/s", ours, against(`openssl verify + sign, ${cores} cores`, limit))]
      : []),
    measured(row, `${name}, WebCrypto`, "/s", plain, against("with OpenSSL", ours, plain)),
  ];
}

async function post(url: string, body: string): Promise<void> {
  const answer = await fetch(url, { method: "POST", body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`cfssl answered ${answer.status}: ${text}`);
}

async function isOnPath(program: string): Promise<boolean> {
  const command = new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" });
  return (await command.output()).success;
}
