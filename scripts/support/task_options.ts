// What a task's command line accepts, in one table that `--help` prints and that rejects the rest.

import { parseArgs } from "node:util";
import configuration from "../../deno.json" with { type: "json" };

export interface TaskOption {
  readonly type: "boolean" | "string";
  readonly default?: string;
  /** The name of a string option's value in the help text. */
  readonly value?: string;
  /** What the option does; an option without this line is the task's own and is not listed. */
  readonly help?: string;
}

export type TaskOptions = Readonly<Record<string, TaskOption>>;

export interface Task<T extends TaskOptions = TaskOptions> {
  readonly name: keyof typeof configuration.tasks;
  /** Each kind of argument that is not an option, and what it means. */
  readonly words?: Readonly<Record<string, string>>;
  readonly options: T;
}

type OptionValue<T extends TaskOption> = T["type"] extends "boolean" ? boolean
  : T["default"] extends string ? string
  : string | undefined;

export interface TaskArguments<T extends TaskOptions> {
  readonly options: { readonly [Name in keyof T]: OptionValue<T[Name]> };
  readonly words: readonly string[];
}

/** An argument that the task does not accept. */
export class TaskUsageError extends Error {
  override readonly name = "TaskUsageError";
}

/** Reads a task's arguments; "help" when they ask for the help text. */
export function parseTaskArguments<const T extends TaskOptions>(
  task: Task<T>,
  args: readonly string[],
): TaskArguments<T> | "help" {
  if (args.includes("--help")) return "help";
  const options = Object.fromEntries(
    Object.entries(task.options).map(([name, { type }]) => [name, { type }]),
  );
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options,
      allowPositionals: task.words !== undefined,
    });
    const defaults = Object.entries(task.options).map(([name, { type, default: value }]) => [
      name,
      type === "boolean" ? false : value,
    ]);
    return { options: { ...Object.fromEntries(defaults), ...values }, words: positionals };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const accepted = [...listed(task).map(([name]) => `--${name}`), "--help"].join(", ");
    throw new TaskUsageError(`${firstSentence(error.message)}; accepted: ${accepted}`);
  }
}

/** The help text of a task: its usage, its description in deno.json and its options. */
export function taskHelp(task: Task): string {
  const usage = listed(task).map(([name, option]) => `[${spelled(name, option)}]`)
    .concat(Object.keys(task.words ?? {}).map((word) => `[${word}]...`));
  const lines = [
    ...Object.entries(task.words ?? {}),
    ...listed(task).map(([name, option]) =>
      [
        spelled(name, option),
        option.help + (option.default === undefined ? "" : ` (default: ${option.default})`),
      ] as const
    ),
    ["--help", "print this text"] as const,
  ];
  const width = Math.max(...lines.map(([name]) => name.length)) + 2;
  return [
    ["deno task", task.name, ...usage].join(" "),
    "",
    configuration.tasks[task.name].description,
    "",
    ...lines.map(([name, help]) => `  ${name.padEnd(width)}${help}`),
  ].join("\n");
}

/** The arguments of this program; ends it for `--help` and for an argument that is not accepted. */
export function taskArguments<const T extends TaskOptions>(task: Task<T>): TaskArguments<T> {
  try {
    const parsed = parseTaskArguments(task, Deno.args);
    if (parsed !== "help") return parsed;
    console.log(taskHelp(task));
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof TaskUsageError)) throw error;
    console.error(`${task.name}: ${error.message}`);
    Deno.exit(2);
  }
}

function listed(task: Task): [string, TaskOption][] {
  return Object.entries(task.options).filter(([, { help }]) => help !== undefined);
}

function spelled(name: string, { type, value = "VALUE" }: TaskOption): string {
  return type === "boolean" ? `--${name}` : `--${name} ${value}`;
}

/** The first sentence of the parser's message, without its advice on arguments of Node programs. */
function firstSentence(message: string): string {
  return message.split(". ")[0]!.replace(/\.$/, "").replace(
    /^[A-Z]/,
    (letter) => letter.toLowerCase(),
  );
}
