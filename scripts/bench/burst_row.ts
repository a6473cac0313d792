import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { makeCa } from "./authorities.ts";
import type { Background } from "./background.ts";
import { LagHistogram } from "./lag_histogram.ts";
import { batch } from "./load.ts";
import { NodeProcess } from "./node_process.ts";
import { measured, type Result, skipped } from "./result.ts";
import { startService } from "./service_process.ts";
import type { Settings } from "./settings.ts";

const row = 3;

/** Everything at once: a node that starts with all its pods, and fifty such nodes. */
export async function burstRow(settings: Settings, directory: string): Promise<Result[]> {
  const ca = await makeCa(directory, "P-256");
  await using resources = new AsyncDisposableStack();
  const service = await startService(settings, directory, ca);
  resources.use(service.process);
  const results = [...await oneNode(settings, directory, service)];
  const nodes = settings.quick ? [5, 10] : [25, 50];
  const perNode = settings.quick ? 50 : 100;
  const took: number[] = [];
  for (const count of nodes) {
    await using watched = await watch(service.healthAddress, service.process);
    const ms = await manyNodes(service.address, count, perNode);
    took.push(ms);
    const name = `${count} nodes × ${perNode} certificates`;
    results.push(measured(row, `${name}: until the last`, "ms", [ms]));
    results.push(...await watched.lines(name));
  }
  const growth = (took[1] ?? NaN) / (took[0] ?? NaN) / 2;
  results.push(measured(row, "twice the nodes: time for each certificate", "×", [growth], {
    atMost: 1.25,
  }));
  return results;
}

async function oneNode(
  settings: Settings,
  directory: string,
  service: { address: string },
): Promise<Result[]> {
  if (!settings.mounts) {
    return [skipped(row, "a node's publishes", "mounting is not permitted on this machine")];
  }
  const results: Result[] = [];
  const took: Record<"publishes" | "unpublishes", number[]> = { publishes: [], unpublishes: [] };
  for (const count of settings.quick ? [100, 200] : [500, 1_000]) {
    const own = `${directory}/node-${count}`;
    await using node = await NodeProcess.start({ settings, directory: own, service });
    const volumes = await Promise.all(Array.from({ length: count }, (_, n) => node.admit(n)));
    for (const name of ["publishes", "unpublishes"] as const) {
      const call = name === "publishes" ? node.publish.bind(node) : node.unpublish.bind(node);
      await using watched = await watch(node.healthAddress, node.process);
      const from = performance.now();
      await batch(count, count, (n) => call(volumes[n]!));
      const ms = performance.now() - from;
      took[name].push(ms);
      results.push(measured(row, `${count} ${name}: until the last`, "ms", [ms]));
      results.push(...await watched.lines(`${count} ${name}`));
    }
  }
  for (const [name, [few = NaN, twice = NaN]] of Object.entries(took)) {
    const growth = twice / few / 2;
    const what = `twice the ${name}: time for each`;
    results.push(measured(row, what, "×", [growth], { atMost: 1.25 }));
  }
  return results;
}

/** Connections of many nodes, each of which requests all its certificates at once; returns the milliseconds until the last. */
async function manyNodes(address: string, nodes: number, perNode: number): Promise<number> {
  const request = await createCertificateRequest(await generateKeyPair("ecdsa-p256"));
  const certificateRequest = request as Uint8Array<ArrayBuffer>;
  using clients = new DisposableStack();
  const all = Array.from(
    { length: nodes },
    () => clients.use(connect(CertificateService, { address: `http://${address}` })),
  );
  const from = performance.now();
  await batch(nodes * perNode, nodes * perNode, async (n) => {
    const pod = {
      namespace: "shop",
      name: `web-${n}`,
      uid: crypto.randomUUID(),
      serviceAccount: "default",
    };
    const volume = { id: `csi-${n}`, name: "certs", attributes: {} };
    const message = { certificateRequest, pod, volume };
    for (;;) {
      try {
        return await all[n % nodes]!.issueCertificate(message, { timeoutMs: 120_000 });
      } catch (error) {
        const retryAfterMs = (error as { retryAfterMs?: number }).retryAfterMs;
        if (retryAfterMs === undefined) throw error;
        await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
      }
    }
  });
  return performance.now() - from;
}

/** Observes a program's memory and its event loop's metrics until disposed. */
async function watch(healthAddress: string, process: Background) {
  const stopping = new AbortController();
  const before = await lagOf(healthAddress);
  let mostBytes = 0;
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      mostBytes = Math.max(mostBytes, await process.residentBytes());
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  return {
    lines: async (name: string): Promise<Result[]> => {
      const lag = (await lagOf(healthAddress)).since(before);
      return [
        measured(row, `${name}: event-loop lag, mean`, "ms", [lag.meanMs]),
        measured(row, `${name}: event-loop lag, p99`, "ms", [lag.percentileMs(0.99)], {
          atMost: 50,
        }),
        measured(row, `${name}: event-loop lag, largest`, "ms", [lag.percentileMs(1)]),
        measured(row, `${name}: most memory`, "MiB", [mostBytes / 2 ** 20]),
      ];
    },
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await watching;
    },
  };
}

/** What a program observed of its event loop so far. */
async function lagOf(healthAddress: string): Promise<LagHistogram> {
  const answer = await fetch(`http://${healthAddress}/metrics`);
  return new LagHistogram(await answer.text());
}
