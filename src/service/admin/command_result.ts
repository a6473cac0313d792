/** What a command ends with. */
export type CommandResult =
  | { readonly kind: "done"; readonly exitCode: number; readonly output: string }
  /** The command line or a file that it names is not accepted: exit code 2. */
  | { readonly kind: "refused"; readonly problems: readonly string[] }
  /** The command was understood, and could not do what it should: exit code 1. */
  | { readonly kind: "failed"; readonly problem: string };

export function refused(problem: string): CommandResult {
  return { kind: "refused", problems: [problem] };
}
