/** Requests a program's /livez and /readyz repeatedly until it receives a stop order, and reports the answers. */
import type { HealthAnswers, ProbeOrder } from "./observing.ts";

/** A worker's own global, for which the type check of the whole project assumes a window. */
const scope = self as unknown as {
  postMessage(message: HealthAnswers): void;
  onmessage: (event: MessageEvent<ProbeOrder>) => void;
};

const answersMs: number[] = [];
const failures: string[] = [];
/** How many consecutive failures count as one, as the kubelet's default failureThreshold. */
const failureThreshold = 3;
let isStopping = false;

async function probe(address: string, everyMs: number): Promise<void> {
  let inARow: string[] = [];
  for (let path = "livez"; !isStopping; path = path === "livez" ? "readyz" : "livez") {
    const started = performance.now();
    const failure = await failureOf(`http://${address}/${path}`);
    answersMs.push(performance.now() - started);
    inARow = failure === undefined ? [] : [...inARow, `${path}: ${failure}`];
    if (inARow.length === failureThreshold) failures.push(inARow.join(", "));
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  scope.postMessage({ answersMs, failures });
}

async function failureOf(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    await answer.body?.cancel();
    return answer.ok ? undefined : `${answer.status}`;
  } catch (error) {
    return String(error);
  }
}

scope.onmessage = ({ data }) => {
  if (data.kind === "start") void probe(data.address, data.everyMs);
  else isStopping = true;
};
