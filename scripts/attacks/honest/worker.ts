/**
 * Honest callers in a thread of their own, so that what an attack costs the suite is not measured as
 * the service's latency: nodes that call at a steady rate on open connections, new connections with
 * one call each, and the kubelet's probe of /livez.
 */
import { grpcHeaders, grpcMessage } from "../http2/grpc_request.ts";
import { RawConnection } from "../http2/connection.ts";
import { type HonestNode, type HonestOrder, type HonestPlan, noSamples } from "./calls.ts";
import { errorMessage } from "../../../src/shared/text/error_message.ts";

/** A worker's own global; the type check of the whole project assumes a window. */
const scope = self as unknown as {
  postMessage(message: unknown): void;
  onmessage: (event: MessageEvent<HonestOrder>) => void;
};

const callMs = 5_000;
const livezPerSecond = 10;

type CallingNode = HonestPlan["nodes"][number];

let samples = noSamples();
let running: AbortController | undefined;
/** What has begun and not ended. */
const pending = new Set<Promise<void>>();

/** How late this thread's own timer is: the machine's part in whatever is measured here. */
function observeOwnLag(signal: AbortSignal): void {
  const everyMs = 20;
  let due = performance.now() + everyMs;
  const timer = setInterval(() => {
    const now = performance.now();
    samples.ownLags.push(Math.max(0, now - due));
    due = now + everyMs;
  }, everyMs);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function start(plan: HonestPlan): void {
  running = new AbortController();
  const { signal } = running;
  observeOwnLag(signal);
  for (const node of plan.nodes) steadyCalls(plan, node, signal);
  let next = 0;
  repeat(plan.connectionsPerSecond, signal, async () => {
    const node = plan.nodes[next++ % plan.nodes.length]!;
    await sample("connections", "connectionFailures", async () => {
      using connection = await connect(plan, node);
      await call(plan, node, connection);
    });
  });
  repeat(livezPerSecond, signal, async () => {
    await sample("livez", "livezFailures", async () => {
      const response = await fetch(`http://${plan.healthAddress}/livez`, {
        signal: AbortSignal.timeout(callMs),
      });
      await response.body?.cancel();
      if (response.status !== 200) throw new Error(`/livez answered ${response.status}`);
    });
  });
}

/** Calls on one connection, which is opened again when it has been closed. */
function steadyCalls(plan: HonestPlan, node: CallingNode, signal: AbortSignal): void {
  let opening: Promise<RawConnection> | undefined;
  signal.addEventListener(
    "abort",
    () => void opening?.then((connection) => connection[Symbol.dispose](), () => {}),
  );
  repeat(plan.callsPerSecond, signal, async () => {
    await sample("calls", "callFailures", async () => {
      const used = opening ??= connect(plan, node);
      const connection = await used.catch((error) => {
        if (opening === used) opening = undefined;
        throw error;
      });
      // Replaced before the call: a connection that was closed at rest is no failed call.
      if (!connection.isOpen || connection.goawayReason !== undefined) {
        if (opening === used) opening = connect(plan, node);
        return await call(plan, node, await opening!);
      }
      await call(plan, node, connection);
    });
  });
}

async function connect(plan: HonestPlan, { identity }: HonestNode): Promise<RawConnection> {
  const { address, ca, serverName } = plan;
  return await RawConnection.open({ address, tls: { ca, serverName, identity } });
}

async function call(
  { path }: HonestPlan,
  { token, message }: CallingNode,
  connection: RawConnection,
): Promise<void> {
  const more = token === undefined ? [] : [["authorization", `Bearer ${token}`] as const];
  const answer = await connection.request(grpcHeaders(path, more), grpcMessage(message), callMs);
  if (answer.failure !== undefined) throw new Error(answer.failure);
  if (answer.grpcStatus !== "0") {
    throw new Error(`status ${answer.grpcStatus}: ${answer.grpcMessage}`);
  }
}

/** Notes the act's time or its failure among the samples that are current when it ends. */
async function sample(
  successes: "calls" | "connections" | "livez",
  failures: `${"call" | "connection" | "livez"}Failures`,
  act: () => Promise<void>,
): Promise<void> {
  const started = performance.now();
  try {
    await act();
    samples[successes].push(performance.now() - started);
  } catch (error) {
    if (running?.signal.aborted) return;
    samples[failures].push(errorMessage(error));
  }
}

/** Starts an action at a fixed rate, whether or not the earlier ones have ended. */
function repeat(perSecond: number, signal: AbortSignal, act: () => Promise<void>): void {
  if (perSecond <= 0) return;
  const timer = setInterval(() => {
    const acting = act().finally(() => pending.delete(acting));
    pending.add(acting);
  }, 1000 / perSecond);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** Waits for the calls that have begun: one that hangs belongs to what was collected. */
async function collect(): Promise<void> {
  await Promise.all(pending);
  scope.postMessage(samples);
  samples = noSamples();
}

scope.onmessage = ({ data }) => {
  if (data.kind === "start") start(data.plan);
  if (data.kind === "stop") running?.abort();
  if (data.kind === "collect") void collect();
};
scope.postMessage("ready");
