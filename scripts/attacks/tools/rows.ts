/** Tools of others against the gRPC port, with a node's certificate that a forwarder shows for them. */
import { startForwarder } from "./forwarder.ts";
import { buildH2spec, readReport, runTool } from "./h2spec.ts";
import {
  attackerAddress,
  AttackFailure,
  type Budget,
  InconclusiveFailure,
  type OwnRow,
} from "../harness/row.ts";
import type { Skipped } from "../harness/row.ts";
import { AttackedService } from "../programs/service.ts";
import { grpcMessage, issueMessage, methodPaths } from "../http2/grpc_request.ts";
import expected from "./h2spec_failures.json" with { type: "json" };

const attempts = 3;

async function openForwarder(service: AttackedService) {
  const { address, program } = await service.running();
  const { identity } = await service.node(9);
  const target = { address, from: attackerAddress(0), tls: service.tls(identity) };
  return { program, forwarder: await startForwarder(target) };
}

/** Each listed failure has its reason; any other failure fails the row. */
async function h2spec(folder: string): Promise<string | Skipped> {
  const built = await buildH2spec();
  if (built.kind === "missing") return { skipped: built.reason };
  await using service = await AttackedService.prepare("mtls", folder);
  const { program, forwarder } = await openForwarder(service);
  await using _forwarder = forwarder;
  const report = `${folder}/h2spec.xml`;
  const options = ["-h", "127.0.0.1", "-p", String(forwarder.port), "-o", "1", "-j", report];
  const known = new Set(Object.values(expected).flat());
  let unknown: string[] | undefined;
  let passed = 0;
  // A case that waits for an answer fails on a busy machine: what fails each time counts.
  for (let attempt = 0; attempt < attempts && unknown?.length !== 0; attempt++) {
    await runTool(built.path, [...options, "--path", methodPaths.issue]);
    const result = readReport(await Deno.readTextFile(report));
    passed = result.passed;
    const failed = new Set(result.failed.filter((name) => !known.has(name)));
    unknown = unknown?.filter((name) => failed.has(name)) ?? [...failed];
  }
  if (!program.signal("SIGCONT")) throw new AttackFailure("h2spec ended the service");
  if (passed === 0) throw new AttackFailure("no case passed: h2spec did not reach the service");
  if (unknown?.length !== 0) throw new AttackFailure(`failed: ${unknown?.join("; ")}`);
  return `${passed} cases passed, the others are known`;
}

/** Many calls at once and a close, round after round: Deno's HTTP/2 died of it (denoland/deno 36788). */
async function h2load(folder: string, { isSpent }: Budget): Promise<string | Skipped> {
  if (await runTool("h2load", ["--version"]) === undefined) {
    return { skipped: "h2load is missing (apt-get install -y nghttp2-client)" };
  }
  await using service = await AttackedService.prepare("mtls", folder);
  const { program, forwarder } = await openForwarder(service);
  await using _forwarder = forwarder;
  const body = `${folder}/body`;
  await Deno.writeFile(body, grpcMessage(issueMessage(service.certificateRequest)));
  let rounds = 0;
  let succeeded = 0;
  do {
    const output = await runTool("h2load", [
      ...["-n", "320", "-c", "32", "-m", "10", "-d", body],
      ...["-H", "content-type: application/grpc", "-H", "te: trailers"],
      `http://127.0.0.1:${forwarder.port}${methodPaths.issue}`,
    ]);
    rounds++;
    succeeded += Number(/ (\d+) succeeded/.exec(output ?? "")?.[1] ?? 0);
    if (!program.signal("SIGCONT")) {
      throw new AttackFailure(`the service ended in round ${rounds}:\n${program.tail(5)}`);
    }
  } while (!isSpent());
  if (succeeded === 0) throw new InconclusiveFailure("no call succeeded");
  return `${rounds} rounds of 32 connections, ${succeeded} calls`;
}

export const toolRows: readonly OwnRow[] = [
  { name: "tools/h2spec", position: "node", target: "own", run: h2spec },
  { name: "tools/h2load", position: "node", target: "own", run: h2load },
];
