import { printProblems } from "../../shared/config/program_output.ts";
import { systemClock as clock } from "../../shared/scheduler/system_clock.ts";
import { describeFileError } from "../../shared/text/file_error.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { CommandResult } from "../admin/command_result.ts";
import type { NewCa } from "../admin/init_ca.ts";
import { readAdminSocket } from "./admin_socket.ts";
import { readServiceConfig } from "./config.ts";
import { program } from "./logger.ts";

/** The program's subcommands. */
export const commands = [
  "init-ca",
  "check-ca",
  "check-policy",
  "list",
  "nodes",
  "get",
  "revoke",
] as const;
export type Command = typeof commands[number];

/** Runs a subcommand and returns the exit code. Each subcommand loads only the code that it needs. */
export async function runCommand(command: Command, args: string[]): Promise<number> {
  let outcome: CommandResult;
  try {
    outcome = await resultOf(command, args);
    if (outcome.kind === "done") await writeOutput(outcome.output);
  } catch (error) {
    // The reader of a pipe, such as `head`, has ended.
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    outcome = { kind: "refused", problems: [describeError(error)] };
  }
  switch (outcome.kind) {
    case "done":
      return outcome.exitCode;
    case "failed":
      console.error(`${program}: ${command}: ${outcome.problem}`);
      return 1;
    case "refused":
      return printProblems(program, outcome.problems.map((problem) => `${command}: ${problem}`));
    default:
      return outcome satisfies never;
  }
}

/** Of an option that is not accepted, the first sentence: the parser's next one is about "--". */
function describeError(error: unknown): string {
  const message = errorMessage(error);
  const isOption = error instanceof TypeError && "code" in error &&
    String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!isOption) return message;
  const [sentence = message] = message.split(/\. |\n/);
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

async function resultOf(command: Command, args: string[]): Promise<CommandResult> {
  if (command === "init-ca") {
    const { initCa } = await import("../admin/commands.ts");
    const readSecret = (path: string) => readText(path, `--rotate ${path}`);
    return await initCa(args, { now: clock.now(), write: writeCa, read: readSecret });
  }
  if (command === "check-ca") {
    // The names are those of a service with this environment.
    const read = readServiceConfig(Deno.env.toObject());
    if (read.kind === "refused") return read;
    const { checkCa } = await import("../admin/check_ca.ts");
    return await checkCa(args, { now: clock.now(), names: read.config, read: readInput });
  }
  if (command === "check-policy") {
    // The default without any rule is that of a service with this environment.
    const read = readServiceConfig(Deno.env.toObject());
    if (read.kind === "refused") return read;
    const { checkPolicyFile } = await import("../admin/commands.ts");
    const readPolicy = (path: string) => readText(path, `the policy file ${path}`);
    return await checkPolicyFile(args, read.config, readPolicy);
  }
  const read = readAdminSocket(Deno.env.toObject());
  if (read.kind === "refused") return read;
  const environment = { socket: read.config.path, write: writeOutput };
  const { getCommand, listCommand, nodesCommand, revokeCommand } = await import(
    "../admin/certificate_commands.ts"
  );
  const run = {
    list: listCommand,
    nodes: nodesCommand,
    get: getCommand,
    revoke: revokeCommand,
  }[command];
  return await run(args, environment);
}

/** Reads a file, or the standard input for "-". An error contains `name`. */
async function readInput(path: string, name = path): Promise<Uint8Array> {
  if (path === "-") return await new Response(Deno.stdin.readable).bytes();
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw new Error(describeFileError(name, error));
  }
}

async function readText(path: string, name: string): Promise<string> {
  return new TextDecoder().decode(await readInput(path, name));
}

async function writeOutput(text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await Deno.stdout.write(bytes));
}

async function writeCa(folder: string, { certificatePem, privateKeyPem }: NewCa): Promise<void> {
  const { writeNewFiles } = await import("../admin/new_files.ts");
  await writeNewFiles(folder, [
    { name: "tls.key", text: privateKeyPem, mode: 0o600 },
    { name: "tls.crt", text: certificatePem, mode: 0o644 },
  ]);
}
