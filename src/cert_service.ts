/** The entry of cert-service, which holds the CA, signs for the drivers, and keeps the inventory. */
// Imported first: it runs on another thread while the other modules are loaded.
import "./service/openssl/early_seed.ts";
import manifest from "../deno.json" with { type: "json" };
import { readServiceConfig } from "./service/program/config.ts";
import { serviceHelp } from "./service/program/help.ts";
import { logger, program } from "./service/program/logger.ts";
import { commands, runCommand } from "./service/program/run_command.ts";
import { parseCommandLine } from "./shared/config/command_line.ts";
import { printOutput, printProblems } from "./shared/config/program_output.ts";
import { configureLogging } from "./shared/telemetry/logging.ts";
import { errorMessage } from "./shared/text/error_message.ts";

/** Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const command = parseCommandLine(args, commands);
  if (command.kind === "help") return printOutput(serviceHelp(manifest.version));
  if (command.kind === "version") return printOutput(`${program} ${manifest.version}`);
  if (command.kind === "refused") return printProblems(program, [command.problem]);
  if (command.kind === "command") return await runCommand(command.command, command.args);
  const outcome = readServiceConfig(Deno.env.toObject());
  if (outcome.kind === "refused") return printProblems(program, outcome.problems);
  const { config, warnings } = outcome;
  await using _logging = await configureLogging({ ...config.logging, program });
  for (const warning of warnings) logger.warn("{warning}", { warning });
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => stopping.abort());
  }
  try {
    // Loaded here, because a command runs in the service's container and needs a fifth of the code.
    const { serve } = await import("./service/program/serve.ts");
    await serve(config, manifest.version, stopping.signal);
    return 0;
  } catch (error) {
    logger.fatal("cannot serve: {reason}", { reason: errorMessage(error) });
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
