import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Issuing } from "../../src/authority/issuing.ts";
import type { Authenticator } from "../../src/authority/ports.ts";
import { SigningQueue } from "../../src/authority/signing_queue.ts";
import { CertificateService } from "../../src/gen/certificate_service_pb.ts";
import { connect } from "../../src/grpc/client.ts";
import { register, serveUnix } from "../../src/grpc/server.ts";
import { CertificateServiceClient } from "../../src/issuance/client.ts";
import { certificateService } from "../../src/issuance/service.ts";
import { systemClock } from "../../src/scheduler/system_clock.ts";
import { serveHealth } from "../../src/telemetry/health_endpoint.ts";
import { retryDelay } from "../../src/volume/renewal_time.ts";
import { certificateRequest, makeCa, openAuthority } from "../authority/authority_fixture.ts";
import { policy } from "../authority/authority_fixture.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { HealthProbe, LagProbe, percentiles } from "./observing.ts";

const nodes = 10_000;
/** One node more, that asks for a thousand pods at once. */
const greedyPods = 1_000;
const connections = 50;
/** Less than a storm, so that most of it is turned away at first. */
const capacity = 2_048;
/** As long as a driver waits for an answer. */
const askMs = 20_000;
/** What 11,000 calls in progress may take, server's and clients' side together. */
const mostGrowthMib = 600;
const mostLagMs = 5_000;

/** The node is told by the pod's name here: a token for each would need a connection for each. */
const byToken: Authenticator = {
  authenticate: ({ authorization }) =>
    Promise.resolve({ kind: "caller", caller: { kind: "node", node: authorization ?? "" } }),
};

/** The service on a socket, with the machine's clock and a queue that is too short. */
async function openService(directory: string) {
  await using stack = new AsyncDisposableStack();
  const clock = new FakeClock(Temporal.Now.instant());
  const material = await makeCa({}, clock.now());
  const parts = stack.use(await openAuthority({ clock, material }));
  const { signer, inventory, revocation } = parts;
  const queue = new SigningQueue({ clock: systemClock, capacity });
  const issuing = new Issuing({ signer, queue, inventory, revocation, policy: () => policy() });
  const service = certificateService({ ...parts, issuing, authenticator: byToken });
  let mostWaiting = 0;
  const implementation: typeof service = {
    ...service,
    issueCertificate: async (message, context) => {
      context.metadata.set("authorization", message.pod?.name ?? "");
      mostWaiting = Math.max(mostWaiting, queue.waiting);
      return await service.issueCertificate(message, context);
    },
  };
  const path = `${directory}/service.sock`;
  stack.use(await serveUnix(path, { services: [register(CertificateService, implementation)] }));
  const ok = () => ({ ok: true, detail: "serving" });
  const health = stack.use(
    serveHealth({ hostname: "127.0.0.1", port: 0 }, { live: ok, ready: ok }),
  );
  const kept = stack.move();
  return {
    address: `unix://${path}`,
    healthAddress: `127.0.0.1:${health.port}`,
    get mostWaiting() {
      return mostWaiting;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** What a driver does until it has its certificate; counts how often it was turned away. */
async function obtain(
  client: CertificateServiceClient,
  certificateRequest: Uint8Array,
  node: string,
  uid: string,
  turnedAway: { count: number; early: number },
): Promise<void> {
  const pod = { namespace: "shop", name: node, uid, serviceAccount: "web" };
  const volume = { volumeId: `csi-${uid}`, volumeName: "certs", attributes: {} };
  for (let attempt = 1;; attempt++) {
    const request = { certificateRequest, pod, ...volume, predecessor: undefined };
    const outcome = await client.issue(request, AbortSignal.timeout(askMs))
      .catch(() => ({ kind: "unavailable" as const }));
    if (outcome.kind === "issued") return;
    assert.ok(outcome.kind === "throttled" || outcome.kind === "unavailable", outcome.kind);
    turnedAway.count++;
    if (outcome.kind === "throttled" && !outcome.retryAfter) turnedAway.early++;
    const askedMs = outcome.kind === "throttled" ? outcome.retryAfter?.total("milliseconds") : 0;
    await sleep(retryDelay(attempt, Infinity, Math.random(), askedMs));
  }
}

Deno.test("10,000 drivers that ask at once are all served, a greedy one after the others, in bounded memory, while health answers", async () => {
  await using folder = await temporaryFolder();
  await using service = await openService(folder.path);
  using stack = new DisposableStack();
  const clients = Array.from(
    { length: connections },
    () =>
      new CertificateServiceClient(
        stack.use(connect(CertificateService, { address: service.address })),
      ),
  );
  const csr = await certificateRequest();
  const before = Deno.memoryUsage();
  let highest = before.rss;
  const watching = setInterval(() => highest = Math.max(highest, Deno.memoryUsage().rss), 200);
  stack.defer(() => clearInterval(watching));
  using lag = new LagProbe();
  await using health = new HealthProbe(service.healthAddress);
  const started = performance.now();
  const turnedAway = { count: 0, early: 0 };
  const quietMs: number[] = [];
  const greedyMs: number[] = [];
  const ask = async (at: number, node: string, tookMs: number[]) => {
    await obtain(clients[at % connections]!, csr, node, `${node}-${at}`, turnedAway);
    tookMs.push(performance.now() - started);
  };
  await Promise.all([
    ...Array.from({ length: greedyPods }, (_, at) => ask(at, "greedy", greedyMs)),
    ...Array.from({ length: nodes }, (_, at) => ask(at, `node-${at}`, quietMs)),
  ]);
  console.log(
    `    ${nodes} nodes ${percentiles(quietMs)}; the greedy one's ${greedyPods} pods ` +
      `${percentiles(greedyMs)}; turned away ${turnedAway.count} times, at most ` +
      `${service.mostWaiting} waited; ${lag.summary}; ${health.summary}; memory from ` +
      `${(before.rss / 2 ** 20).toFixed(0)} to at most ${(highest / 2 ** 20).toFixed(0)} MiB`,
  );
  assert.equal(quietMs.length + greedyMs.length, nodes + greedyPods);
  assert.equal(turnedAway.early, 0, "who is turned away is told when to come back");
  assert.ok(service.mostWaiting <= capacity);
  const median = (ms: number[]) => ms.toSorted((a, b) => a - b)[ms.length >> 1]!;
  assert.ok(median(greedyMs) > median(quietMs), "the greedy node does not go first");
  assert.deepEqual(health.failures, []);
  assert.ok((highest - before.rss) / 2 ** 20 < mostGrowthMib);
  assert.ok(lag.worstMs < mostLagMs, `${lag.worstMs} ms`);
});
