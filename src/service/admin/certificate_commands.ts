import { status } from "@grpc/grpc-js";
import { parseArgs } from "node:util";
import type {
  ListCertificatesResponse,
  ListNodesResponse,
  MissingReplica,
  RevokeCertificateResponse,
} from "../../shared/gen/certificate_service_pb.ts";
import { RpcError } from "../../shared/grpc/rpc_error.ts";
import { isUid } from "../../shared/text/kubernetes_names.ts";
import { abbreviate } from "../../shared/text/printable_text.ts";
import { type AdministrationClient, connectAdministration } from "./administration_client.ts";
import {
  certificateDetails,
  certificateJson,
  certificateTable,
  instantText,
} from "./certificate_text.ts";
import { type CommandResult, refused } from "./command_result.ts";
import { nodeJson, nodeTable } from "./node_text.ts";
import type { TextTable } from "./text_table.ts";

/** What the commands that call a running service use of the process. */
export interface CommandEnvironment {
  /** The path of the service's local socket. */
  readonly socket: string;
  /** Writes to standard output; rejects when its reader has ended. */
  readonly write: (text: string) => Promise<void>;
}

const timeoutMs = 30_000;

const done: CommandResult = { kind: "done", exitCode: 0, output: "" };

/** `list`: prints the certificates that the replicas know, page by page. */
export async function listCommand(
  args: string[],
  environment: CommandEnvironment,
): Promise<CommandResult> {
  const { values } = parseArgs({
    args,
    options: {
      namespace: { type: "string", short: "n", default: "" },
      pod: { type: "string", default: "" },
      node: { type: "string", default: "" },
      all: { type: "boolean", default: false },
      output: { type: "string", short: "o", default: "table" },
    },
  });
  const { namespace, pod, node, all, output } = values;
  const format = formatOf(output, certificateTable, certificateJson);
  if (format === undefined) return unknownOutput(output);
  const podFilter = isUid(pod) ? { podUid: pod } : { podName: pod };
  const request = { namespace, node, ...podFilter, includeReleased: all };
  const print = (page?: ListCertificatesResponse) =>
    environment.write(format(page?.certificates ?? []));
  return await withService(
    environment,
    (client) => printPages(client.listCertificates(request), print, "certificates are missing"),
  );
}

/** `nodes`: prints the nodes whose drivers report to the replicas. */
export async function nodesCommand(
  args: string[],
  environment: CommandEnvironment,
): Promise<CommandResult> {
  const { values: { output } } = parseArgs({
    args,
    options: { output: { type: "string", short: "o", default: "table" } },
  });
  const format = formatOf(output, nodeTable, nodeJson);
  if (format === undefined) return unknownOutput(output);
  const print = (page?: ListNodesResponse) => environment.write(format(page?.nodes ?? []));
  return await withService(
    environment,
    (client) => printPages(client.listNodes({}), print, "nodes are missing"),
  );
}

/** `get`: prints one certificate. */
export async function getCommand(
  args: string[],
  environment: CommandEnvironment,
): Promise<CommandResult> {
  const { values: { output }, positionals } = parseArgs({
    args,
    options: { output: { type: "string", short: "o", default: "table" } },
    allowPositionals: true,
  });
  const [serial, ...others] = positionals;
  if (serial === undefined || others.length > 0) return refused("expected one serial number");
  if (output !== "table" && output !== "json") return unknownOutput(output);
  const serialNumber = plainSerialNumber(serial);
  return await withService(environment, async (client) => {
    const answer = await client.getCertificateInfo({ serialNumber }, { timeoutMs });
    const { certificate, missingReplicas } = answer;
    if (certificate === undefined) {
      return { kind: "failed", problem: "the service's answer contains no certificate" };
    }
    const text = output === "json" ? certificateJson(certificate) : certificateDetails(certificate);
    if (missingReplicas.length === 0) return { ...done, output: text };
    await environment.write(text);
    return incomplete("a newer certificate may exist", missingReplicas);
  });
}

/** `revoke`: stops certificates for a pod, or rejects the client certificates of a node. */
export async function revokeCommand(
  args: string[],
  environment: CommandEnvironment,
): Promise<CommandResult> {
  const { values } = parseArgs({
    args,
    options: {
      "pod-uid": { type: "string" },
      serial: { type: "string" },
      node: { type: "string" },
      reason: { type: "string", default: "" },
    },
  });
  const { "pod-uid": uid, serial, node, reason } = values;
  const targets = [
    ...(uid === undefined ? [] : [{ case: "podUid", value: uid } as const]),
    ...(serial === undefined
      ? []
      : [{ case: "serialNumber", value: plainSerialNumber(serial) } as const]),
    ...(node === undefined ? [] : [{ case: "nodeName", value: node } as const]),
  ];
  const [target, ...others] = targets;
  if (target === undefined || others.length > 0) {
    return refused("expected one of --pod-uid UID, --serial SERIAL and --node NAME");
  }
  return await withService(environment, async (client) => {
    const answer = await client.revokeCertificate({ target, reason }, { timeoutMs });
    const output = target.case === "nodeName"
      ? `the certificates that node ${target.value} has are rejected from now on; its driver gets ` +
        "another one as long as its pod runs there\n"
      : podRevocationText(answer);
    return { ...done, output };
  });
}

/**
 * Prints each page before the next one is read, so that the whole list is never in memory. `print` is
 * called without a page for an empty list.
 */
async function printPages<Page extends { readonly missingReplicas: readonly MissingReplica[] }>(
  pages: AsyncIterable<Page>,
  print: (page?: Page) => Promise<void>,
  consequence: string,
): Promise<CommandResult> {
  let isEmpty = true;
  for await (const page of pages) {
    await print(page);
    isEmpty = false;
    if (page.missingReplicas.length > 0) return incomplete(consequence, page.missingReplicas);
  }
  if (isEmpty) await print();
  return done;
}

/** What was printed is true, and may not be all: for scripts a failure. */
function incomplete(consequence: string, missing: readonly MissingReplica[]): CommandResult {
  const replicas = missing.map(({ address, reason }) => `${address} (${reason})`).join(", ");
  return { kind: "failed", problem: `${consequence}: these replicas did not answer: ${replicas}` };
}

function podRevocationText({ podUid, pod, validUntil }: RevokeCertificateResponse): string {
  const name = pod === undefined ? podUid : `${pod.namespace}/${pod.name} (${podUid})`;
  const text = `pod ${name} gets no further certificate; its certificates expire at ` +
    `${instantText(validUntil)} at the latest\n`;
  if (pod !== undefined) return text;
  return text +
    "no replica that answered has issued a certificate to a pod with this uid: check the " +
    "uid; the revocation applies in any case\n";
}

/** Also accepts the form that openssl prints: upper case, colons between the bytes. */
function plainSerialNumber(text: string): string {
  return text.toLowerCase().replaceAll(":", "");
}

/** How the items of a page are printed; undefined for an output that is neither `table` nor `json`. */
function formatOf<Item>(
  output: string,
  openTable: () => TextTable<Item>,
  json: (item: Item) => string,
): ((items: readonly Item[]) => string) | undefined {
  if (output === "json") return (items) => items.map(json).join("");
  if (output !== "table") return undefined;
  const table = openTable();
  return (items) => table.format(items);
}

function unknownOutput(output: string): CommandResult {
  return refused(`--output is "${abbreviate(output)}"; expected table or json`);
}

/** Runs the calls of a command. An error of the service becomes a result; INVALID_ARGUMENT is `refused`. */
async function withService(
  { socket }: CommandEnvironment,
  call: (client: AdministrationClient) => Promise<CommandResult>,
): Promise<CommandResult> {
  const connected = await connectAdministration(socket);
  if (connected.kind === "failed") return connected;
  using client = connected.client;
  try {
    return await call(client);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (error.code === status.INVALID_ARGUMENT) return refused(error.message);
    return { kind: "failed", problem: error.message };
  }
}
