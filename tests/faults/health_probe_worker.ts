/** Requests a program's /livez and /readyz repeatedly until it receives a stop order, and reports the answers. */
import type { HealthAnswers, ProbeOrder } from "./observing.ts";

/** A worker's own global, which the type check of the whole project takes for a window. */
const scope = self as unknown as {
  postMessage(message: HealthAnswers): void;
  onmessage: (event: MessageEvent<ProbeOrder>) => void;
};

const answersMs: number[] = [];
const failures: string[] = [];
let isStopping = false;

async function probe(address: string, everyMs: number): Promise<void> {
  for (let path = "livez"; !isStopping; path = path === "livez" ? "readyz" : "livez") {
    const started = performance.now();
    try {
      const answer = await fetch(`http://${address}/${path}`, {
        signal: AbortSignal.timeout(10_000),
      });
      await answer.body?.cancel();
      if (!answer.ok) failures.push(`${path}: ${answer.status}`);
    } catch (error) {
      failures.push(`${path}: ${error}`);
    }
    answersMs.push(performance.now() - started);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  scope.postMessage({ answersMs, failures });
}

scope.onmessage = ({ data }) => {
  if (data.kind === "start") void probe(data.address, data.everyMs);
  else isStopping = true;
};
