import { parseArgs } from "node:util";
import { errorMessage } from "../text/error_message.ts";

/** What a program is started for. */
export type CommandLine<Command extends string> =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "serve" }
  | { readonly kind: "command"; readonly command: Command; readonly args: string[] }
  | { readonly kind: "refused"; readonly problem: string };

/** Reads the arguments of a program that serves when it is given none; a subcommand reads its own. */
export function parseCommandLine<Command extends string>(
  args: readonly string[],
  commands: readonly Command[],
): CommandLine<Command> {
  const [first, ...rest] = args;
  const command = commands.find((command) => command === first);
  if (command !== undefined) {
    // --help is the same text wherever it stands.
    if (rest.some((argument) => argument === "--help" || argument === "-h")) {
      return { kind: "help" };
    }
    return { kind: "command", command, args: rest };
  }
  if (first !== undefined && !first.startsWith("-")) {
    const known = commands.join(" or ");
    return { kind: "refused", problem: `unknown command "${first}": expected ${known}, or none` };
  }
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "V" },
      },
    });
    return { kind: values.help ? "help" : values.version ? "version" : "serve" };
  } catch (error) {
    return { kind: "refused", problem: errorMessage(error) };
  }
}
