/** One node's load against the others, with an API server that answers slowly or not at all. */
import { grpcHeaders, grpcMessage, issueMessage, methodPaths } from "../http2/grpc_request.ts";
import { encodeHeaders } from "../http2/hpack.ts";
import { concat, data, headers } from "../http2/frames.ts";
import { type Attack, AttackFailure, type ServiceRow } from "../harness/row.ts";
import { repeatInParallel } from "../harness/repetition.ts";
import { pause } from "../harness/service_row.ts";

function absentPod(attack: Attack, n: number): Uint8Array {
  const pod = { ...attack.service.podOf(9), name: `absent-${n}`, uid: `absent-uid-${n}` };
  return grpcMessage(issueMessage(attack.service.certificateRequest, pod));
}

/** 1,040 requests for pods that do not exist, on as many connections as a node may have. */
async function absentPods(attack: Attack, connections: number): Promise<string> {
  let sent = 0;
  const block = encodeHeaders(grpcHeaders(methodPaths.issue, attack.credentials));
  const one = async (n: number) => {
    const connection = await attack.connect({}, n).catch(() => undefined);
    if (connection === undefined || !await connection.becomesReady()) return;
    const answers: Promise<unknown>[] = [];
    for (let each = 0; each < 1_040 / connections && connection.isOpen; each++) {
      const stream = connection.nextStream();
      answers.push(connection.answerOf(stream, 4_000));
      await connection.send(concat(
        headers(stream, block),
        data(stream, absentPod(attack, sent++)),
      ));
      // As many at a time as one connection may have streams.
      if (answers.length >= 32) await answers.shift();
    }
    await Promise.all(answers);
  };
  await Promise.all(Array.from({ length: connections }, (_, n) => one(n)));
  return `${sent} requests`;
}

/** Every look-up of a pod hangs for one node's requests; the others' pods are known. */
async function slowApiServer(attack: Attack): Promise<string> {
  const api = attack.service.cluster?.api;
  if (api === undefined) throw new AttackFailure("there is no API server");
  api.fail("get pods shop/absent-", "hang", 2_000);
  try {
    return await absentPods(attack, 4);
  } finally {
    api.faults.length = 0;
    api.release();
  }
}

/** The same request as fast as answers come, on four connections. */
async function busyNode(attack: Attack): Promise<string> {
  const body = grpcMessage(
    issueMessage(attack.service.certificateRequest, attack.service.podOf(9)),
  );
  const statuses = new Map<string, number>();
  await repeatInParallel(attack, 4, async (_, sequence) => {
    const connection = await attack.connect({}, sequence).catch(() => undefined);
    if (connection === undefined) return;
    while (!attack.isSpent() && attack.isAlive() && connection.isOpen) {
      const pairs = grpcHeaders(methodPaths.issue, attack.credentials);
      const answers = await Promise.all(
        Array.from({ length: 32 }, () => connection.request(pairs, body)),
      );
      for (const { grpcStatus, failure } of answers) {
        const key = failure ?? `status ${grpcStatus}`;
        statuses.set(key, (statuses.get(key) ?? 0) + 1);
      }
    }
    connection[Symbol.dispose]();
    await pause(1);
  });
  return [...statuses].map(([status, count]) => `${count} x ${status}`).join(", ");
}

export const fairnessRows: readonly ServiceRow[] = [
  {
    name: "fairness/1,040 requests for pods that do not exist",
    position: "node",
    target: "kubernetes",
    run: (attack) => absentPods(attack, 4),
  },
  {
    name: "fairness/the same on 33 connections",
    position: "node",
    target: "kubernetes",
    run: (attack) => absentPods(attack, 33),
  },
  {
    name: "fairness/one node's look-ups hang",
    position: "node",
    target: "kubernetes",
    run: slowApiServer,
  },
  { name: "fairness/one node's issuing", position: "node", target: "kubernetes", run: busyNode },
  { name: "fairness/one node's issuing", position: "node", target: "mtls", run: busyNode },
];
