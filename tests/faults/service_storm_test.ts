import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { GrpcIssuanceClient } from "../../src/driver/service_client/issuance_client.ts";
import { renewalRetryDelay } from "../../src/driver/certificates/renewal_time.ts";
import { certificateRequest } from "../support/service_fixture.ts";
import { Program } from "../../scripts/support/programs.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { HealthProbe, percentiles, residentMemory } from "./observing.ts";

const nodes = 10_000;
/** One more node, which requests certificates for a thousand pods at once. */
const greedyPods = 1_000;
const connections = 50;
/** Less than the storm, so that most calls are rejected at first. */
const capacity = 2_048;
/** As long as a driver waits for an answer. */
const askMs = 20_000;
/** The interval in which the drivers start to call: faster than any machine signs. */
const arrivalMs = 2_000;
/** The memory that thousands of calls in progress may use. */
const mostGrowthMib = 600;
const entry = new URL("stormed_service.ts", import.meta.url).pathname;

/** Repeats a driver's call until it has its certificate; counts how often it was rejected. */
async function issueWithRetries(
  client: GrpcIssuanceClient,
  certificateRequest: Uint8Array,
  node: string,
  uid: string,
  rejected: { count: number; early: number },
): Promise<void> {
  const pod = { namespace: "shop", name: node, uid, serviceAccount: "web" };
  const volume = { volumeId: `csi-${uid}`, volumeName: "certs", attributes: {} };
  for (let attempt = 1;; attempt++) {
    const request = { certificateRequest, pod, ...volume, predecessor: undefined };
    const outcome = await client.issue(request, AbortSignal.timeout(askMs))
      .catch(() => ({ kind: "unavailable" as const }));
    if (outcome.kind === "issued") return;
    assert.ok(outcome.kind === "overloaded" || outcome.kind === "unavailable", outcome.kind);
    rejected.count++;
    if (outcome.kind === "overloaded" && !outcome.retryAfter) rejected.early++;
    const askedMs = outcome.kind === "overloaded" ? outcome.retryAfter?.total("milliseconds") : 0;
    await sleep(renewalRetryDelay(attempt, Infinity, Math.random, askedMs));
  }
}

Deno.test("10,000 drivers that call at once are all served, a greedy one after the others, in bounded memory, while health checks are answered", async () => {
  await using folder = await temporaryFolder();
  const env = { SOCKET: `${folder.path}/service.sock`, CAPACITY: `${capacity}` };
  await using service = new Program("cert-service", "source", env, [], entry);
  const { address, healthAddress } = await service.ready();
  using stack = new DisposableStack();
  const clients = Array.from(
    { length: connections },
    () =>
      new GrpcIssuanceClient(
        stack.use(connect(CertificateService, { address: `unix://${address}` })),
      ),
  );
  const csr = await certificateRequest();
  const before = await residentMemory(service.pid);
  await using health = new HealthProbe(healthAddress);
  const started = performance.now();
  const rejected = { count: 0, early: 0 };
  const quietMs: number[] = [];
  const greedyMs: number[] = [];
  const ask = async (at: number, node: string, tookMs: number[]) => {
    await sleep(Math.random() * arrivalMs);
    await issueWithRetries(clients[at % connections]!, csr, node, `${node}-${at}`, rejected);
    tookMs.push(performance.now() - started);
  };
  await Promise.all([
    ...Array.from({ length: greedyPods }, (_, at) => ask(at, "greedy", greedyMs)),
    ...Array.from({ length: nodes }, (_, at) => ask(at, `node-${at}`, quietMs)),
  ]);
  const { failures, summary } = await health.stop();
  const { highest } = await residentMemory(service.pid);
  const from = service.position;
  service.signal("SIGUSR1");
  const { mostWaiting, lag, signed } = await service.logged(
    ({ message }) => message === "storm",
    from,
  );
  const { greedy, others } = signed as { greedy: number; others: number };
  console.log(
    `    ${nodes} nodes ${percentiles(quietMs)}; the greedy one's ${greedyPods} pods ` +
      `${percentiles(greedyMs)}; turned away ${rejected.count} times, at most ${mostWaiting} ` +
      `waited; ${greedy} of ${
        greedy + others
      } signed under contention were the greedy one's; the service's ${lag}; its ${summary}; its memory from ` +
      `${before.now.toFixed(0)} to at most ${highest.toFixed(0)} MiB`,
  );
  assert.equal(quietMs.length + greedyMs.length, nodes + greedyPods);
  assert.equal(rejected.early, 0, "a rejected caller receives the time of its next attempt");
  assert.ok(Number(mostWaiting) <= capacity);
  // While over a thousand requests wait, at most 256 of them are the greedy node's, and the queue is
  // fair: the node has one place in hundreds.
  assert.ok(others > 0, "the queue was never long");
  assert.ok(
    greedy <= others / 20,
    `${greedy} signed for the greedy node, ${others} for the others`,
  );
  assert.deepEqual(failures, []);
  assert.ok(highest - before.now < mostGrowthMib, `${highest - before.now} MiB more`);
});
