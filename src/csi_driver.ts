/** The node's program: serves CSI to the kubelet and keeps this node's certificates fresh. */
import { hostname } from "node:os";
import manifest from "../deno.json" with { type: "json" };
import { readDriverConfig } from "./driver/program/config.ts";
import { driverHelp } from "./driver/program/help.ts";
import { logger, program, type WrapPorts } from "./driver/program/open_parts.ts";
import { serve } from "./driver/program/serve.ts";
import { printStatus } from "./driver/program/status.ts";
import { parseCommandLine } from "./shared/config/command_line.ts";
import { printOutput, printProblems } from "./shared/config/program_output.ts";
import { configureLogging } from "./shared/telemetry/logging.ts";
import { errorMessage } from "./shared/text/error_message.ts";

/** Runs the program and returns its exit code; tests put faults around its ports with `wrapPorts`. */
export async function main(
  args: readonly string[],
  wrapPorts: WrapPorts = (ports) => ports,
): Promise<number> {
  const command = parseCommandLine(args, ["status"]);
  if (command.kind === "help") return printOutput(driverHelp(manifest.version));
  if (command.kind === "version") return printOutput(`${program} ${manifest.version}`);
  if (command.kind === "refused") return printProblems(program, [command.problem]);
  const outcome = readDriverConfig(Deno.env.toObject(), hostname());
  if (outcome.kind === "refused") return printProblems(program, outcome.problems);
  const { config, warnings } = outcome;
  if (command.kind === "command") return await printStatus(config);
  await using _logging = await configureLogging({ ...config.logging, program });
  for (const warning of warnings) logger.warn("{warning}", { warning });
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => stopping.abort());
  }
  try {
    await serve(config, { version: manifest.version, wrapPorts }, stopping.signal);
    return 0;
  } catch (error) {
    logger.fatal("cannot serve: {reason}", {
      reason: errorMessage(error),
      error,
    });
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
