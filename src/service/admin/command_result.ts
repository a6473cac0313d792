/** How a command ends. */
export type CommandResult =
  | { readonly kind: "done"; readonly exitCode: number; readonly output: string }
  /** The command line, or a file that it names, is rejected: exit code 2. */
  | { readonly kind: "refused"; readonly problems: readonly string[] }
  /** The command was accepted and failed: exit code 1. */
  | { readonly kind: "failed"; readonly problem: string };

export function refused(problem: string): CommandResult {
  return { kind: "refused", problems: [problem] };
}
