import { printProblems } from "../../shared/config/program_output.ts";
import { systemClock as clock } from "../../shared/scheduler/system_clock.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { CommandResult } from "../admin/command_result.ts";
import type { NewCa } from "../admin/init_ca.ts";
import { readAdminSocket } from "./admin_socket.ts";
import { readServiceConfig } from "./config.ts";
import { program } from "./logger.ts";

/** The program's subcommands. */
export const commands = ["init-ca", "check-policy", "list", "get", "revoke"] as const;
export type Command = typeof commands[number];

/** Runs a subcommand and returns the exit code. Each loads what it needs, and no more. */
export async function runCommand(command: Command, args: string[]): Promise<number> {
  let outcome: CommandResult;
  try {
    outcome = await resultOf(command, args);
    if (outcome.kind === "done") await writeOutput(outcome.output);
  } catch (error) {
    // The reader has seen enough, as `head` does.
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    outcome = { kind: "refused", problems: [errorMessage(error)] };
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

async function resultOf(command: Command, args: string[]): Promise<CommandResult> {
  if (command === "init-ca") {
    const { initCa } = await import("../admin/commands.ts");
    return await initCa(args, clock.now(), writeCa);
  }
  if (command === "check-policy") {
    // What holds without any rule is what the service in this environment would have.
    const read = readServiceConfig(Deno.env.toObject());
    if (read.kind === "refused") return read;
    const { checkPolicyFile } = await import("../admin/commands.ts");
    return await checkPolicyFile(args, read.config, (path) => Deno.readTextFile(path));
  }
  const read = readAdminSocket(Deno.env.toObject());
  if (read.kind === "refused") return read;
  const environment = { socket: read.config.path, write: writeOutput };
  const { getCommand, listCommand, revokeCommand } = await import(
    "../admin/certificate_commands.ts"
  );
  const run = { list: listCommand, get: getCommand, revoke: revokeCommand }[command];
  return await run(args, environment);
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
