import { type Ca, type CaKind, makeCa, makeRequests, type Requests } from "./authorities.ts";
import { buildGoSigner, buildStepCa, type Built } from "./go_builds.ts";
import { GrpcLoad } from "./grpc_load.ts";
import { load } from "./load.ts";
import { opensslLimit } from "./openssl_speed.ts";
import { measured, type Result, skipped } from "./result.ts";
import { startCfssl, startGoSigner, startService } from "./service_process.ts";
import type { Settings } from "./settings.ts";
import { interleave, ratioOf, summarize } from "./statistics.ts";
import { StepCa } from "./step_ca.ts";

const row = 1;
const path = "/certservice.v1.CertificateService/IssueCertificate";
const cores = Math.min(2, navigator.hardwareConcurrency);
const targets: Readonly<Record<CaKind, number | undefined>> = {
  "P-256": 1,
  Ed25519: undefined,
  "RSA-4096": 0.8,
};

/** What each does in addition to verifying the request and signing, where that differs from ours. */
const peerNames = {
  cfssl: "cfssl (JSON, HTTP)",
  stepCa: "step-ca (JSON, TLS, an Ed25519 token to check)",
  goSigner: "grpc-go + crypto/x509, nothing else",
};
/** More than it can sign in a second; each needs a token that is made in advance. */
const stepCaAtMost = 6_000;

/** From a request to a chain, through the real service: certificates a second. */
export async function serviceRow(settings: Settings, directory: string): Promise<Result[]> {
  const requests = await makeRequests(256);
  const programs = { stepCa: await buildStepCa(), goSigner: await buildGoSigner() };
  const results: Result[] = [];
  for (const kind of ["P-256", "Ed25519", "RSA-4096"] as const) {
    const ca = await makeCa(directory, kind);
    results.push(...await underCa(settings, directory, { ca, kind, requests, programs }));
  }
  return results;
}

interface Bench {
  readonly ca: Ca;
  readonly kind: CaKind;
  readonly requests: Requests;
  readonly programs: Readonly<Record<"stepCa" | "goSigner", Built>>;
}

/** Signs once; `prepare` runs before a number of seconds of it, and is not counted. */
interface Signer {
  readonly call: (n: number) => Promise<unknown>;
  readonly prepare?: (seconds: number) => void;
}

async function underCa(settings: Settings, directory: string, bench: Bench): Promise<Result[]> {
  const { ca, kind, requests } = bench;
  await using resources = new AsyncDisposableStack();
  const overGrpc = (address: string): Signer => {
    const options = { path, messages: requests.messages, connections: 8 };
    const grpc = resources.use(new GrpcLoad({ url: `http://${address}`, ...options }));
    return { call: (n) => grpc.call(n) };
  };
  const ours = await startService(settings, directory, ca);
  resources.use(ours.process);
  const replica = await startService(settings, directory, ca);
  resources.use(replica.process);
  const plain = await startService(settings, directory, ca, { without: "--allow-ffi" });
  resources.use(plain.process);
  const { signers: peers, absent } = await startPeers(directory, bench, resources, overGrpc);
  const [first, second] = [overGrpc(ours.address), overGrpc(replica.address)];
  const signers: Record<string, Signer> = {
    ours: first,
    pair: { call: (n) => (n % 2 === 0 ? first : second).call(n) },
    plain: overGrpc(plain.address),
    ...peers,
  };
  const results: Result[] = [];
  for (const concurrency of [1, 8, 64]) {
    const seconds = settings.quick ? 1 : 2;
    const running = Object.entries(signers).map(([name, { call, prepare }]) => {
      const run = async () => {
        prepare?.(seconds);
        return (await load(concurrency, seconds, call)).perSecond;
      };
      return [name, run] as const;
    });
    // Code is slow when it runs for the first time: not counted.
    for (const [, run] of running) await run();
    const candidates: Record<string, () => Promise<number>> = Object.fromEntries(running);
    // The same for each concurrency, and it takes seconds.
    if (concurrency === 8) candidates.limit = () => opensslLimit(kind, cores);
    const samples = await interleave(settings.quick ? 3 : 7, candidates);
    results.push(...lines(kind, concurrency, samples));
    console.error(`  ${kind} CA, ${concurrency} at once: ${describe(samples)}`);
  }
  const skips = absent.map(({ what, why }) => skipped(row, `issue, ${kind} CA: ${what}`, why));
  return [...results, ...skips];
}

/** The other signing services, by the names of `peerNames`. */
async function startPeers(
  directory: string,
  { ca, kind, requests, programs }: Bench,
  resources: AsyncDisposableStack,
  overGrpc: (address: string) => Signer,
) {
  const signers: Record<string, Signer> = {};
  const absent: { what: string; why: string }[] = [];
  if (await isOnPath("cfssl")) {
    const cfssl = await startCfssl(directory, ca);
    if (cfssl) {
      resources.use(cfssl.process);
      const bodies = requests.pems.map((pem) => JSON.stringify({ certificate_request: pem }));
      signers.cfssl = { call: (n) => post(cfssl.url, bodies[n % bodies.length]!) };
    } else absent.push({ what: "cfssl", why: `cfssl cannot use a CA of ${kind}` });
  } else absent.push({ what: "cfssl", why: "no cfssl on the PATH (golang-cfssl)" });
  if (programs.stepCa.kind === "built") {
    const stepCa = resources.use(await StepCa.start(programs.stepCa.path, directory, ca));
    signers.stepCa = {
      call: () => stepCa.sign(),
      prepare: (seconds) => stepCa.prepare(stepCaAtMost * seconds, requests.pems),
    };
  } else absent.push({ what: peerNames.stepCa, why: programs.stepCa.reason });
  if (programs.goSigner.kind === "built") {
    const signer = await startGoSigner(programs.goSigner.path, directory, ca);
    resources.use(signer.process);
    signers.goSigner = overGrpc(signer.address);
  } else absent.push({ what: peerNames.goSigner, why: programs.goSigner.reason });
  return { signers, absent };
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
  const { ours = [], pair = [], plain = [], limit } = samples;
  const name = `issue, ${kind} CA, ${concurrency} at once`;
  // The Deployment has two; a process signs and answers on one thread of JavaScript.
  const replicas = `${name}, two replicas`;
  const against = (what: string, theirs: number[], samples = ours) => ({
    reference: { what, samples: theirs, ratio: ratioOf(samples, theirs) },
  });
  const target = concurrency === 1 ? undefined : targets[kind];
  const results: Result[] = [];
  for (const [peer, what] of Object.entries(peerNames)) {
    const theirs = samples[peer];
    if (theirs === undefined) continue;
    const bound = peer === "cfssl" && target !== undefined ? { atLeast: target } : {};
    results.push(measured(row, name, "/s", ours, { ...against(what, theirs), ...bound }));
    const both = against(what, theirs, pair);
    results.push(measured(row, replicas, "/s", pair, { ...both, ...bound }));
  }
  if (limit) {
    const what = `openssl verify + sign, ${cores} cores`;
    results.push(measured(row, name, "/s", ours, against(what, limit)));
  }
  const slower = against("with OpenSSL", ours, plain);
  return [...results, measured(row, `${name}, WebCrypto`, "/s", plain, slower)];
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
