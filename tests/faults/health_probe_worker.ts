/** Requests a program's /livez and /readyz repeatedly until it receives a stop order, and reports the answers. */
import type { HealthAnswers, ProbeOrder } from "./observing.ts";

/** A worker's own global, for which the type check of the whole project assumes a window. */
const scope = self as unknown as {
  postMessage(message: HealthAnswers): void;
  onmessage: (event: MessageEvent<ProbeOrder>) => void;
};

const answersMs: number[] = [];
const failures: string[] = [];
/**
 * The health port closes a connection whose request it does not have after this time. On a busy
 * machine that can be because this worker had no processor: so many in a row count as a failure, as
 * by the kubelet's default failureThreshold. Every other failure counts at once.
 */
const requestDeadlineMs = 5_000;
const failureThreshold = 3;
let isStopping = false;

async function probe(address: string, everyMs: number): Promise<void> {
  let cutOff: string[] = [];
  for (let path = "livez"; !isStopping; path = path === "livez" ? "readyz" : "livez") {
    const started = performance.now();
    const failure = await failureOf(`http://${address}/${path}`);
    const tookMs = performance.now() - started;
    answersMs.push(tookMs);
    if (failure === undefined) cutOff = [];
    else if (tookMs < requestDeadlineMs || !failure.includes("connection closed")) {
      failures.push(`${path}: ${failure}`);
    } else {
      cutOff.push(`${path}: ${failure}`);
      if (cutOff.length === failureThreshold) failures.push(cutOff.join(", "));
    }
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
    return error instanceof TypeError ? String(error.cause ?? error) : String(error);
  }
}

scope.onmessage = ({ data }) => {
  if (data.kind === "start") void probe(data.address, data.everyMs);
  else isStopping = true;
};
