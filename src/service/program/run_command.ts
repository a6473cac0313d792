import { printProblems } from "../../shared/config/program_output.ts";
import { systemClock as clock } from "../../shared/scheduler/system_clock.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { checkPolicyFile, type CommandResult, initCa } from "../admin/commands.ts";
import type { NewCa } from "../admin/init_ca.ts";
import { writeNewFiles } from "../admin/new_files.ts";
import { readServiceConfig } from "./config.ts";
import { program } from "./logger.ts";

export async function runCommand(
  command: "init-ca" | "check-policy",
  args: string[],
): Promise<number> {
  let outcome: CommandResult;
  try {
    if (command === "init-ca") outcome = await initCa(args, clock.now(), writeCa);
    else {
      // What holds without any rule is what the service in this environment would have.
      const read = readServiceConfig(Deno.env.toObject());
      if (read.kind === "refused") return printProblems(program, read.problems);
      outcome = await checkPolicyFile(args, read.config, (path) => Deno.readTextFile(path));
    }
  } catch (error) {
    outcome = { kind: "refused", problems: [errorMessage(error)] };
  }
  if (outcome.kind === "refused") {
    return printProblems(program, outcome.problems.map((problem) => `${command}: ${problem}`));
  }
  await Deno.stdout.write(new TextEncoder().encode(outcome.output));
  return outcome.exitCode;
}

async function writeCa(folder: string, { certificatePem, privateKeyPem }: NewCa): Promise<void> {
  await writeNewFiles(folder, [
    { name: "tls.key", text: privateKeyPem, mode: 0o600 },
    { name: "tls.crt", text: certificatePem, mode: 0o644 },
  ]);
}
