/**
 * This folder turns environment variables and the command line into typed values, and prints help
 * and configuration errors. Its main types are `VariableTable`, `EnvironmentReader` and
 * `ConfigResult`. It never reads a file, and never declares a variable that only one program has.
 */

import { abbreviate } from "../text/printable_text.ts";
import { isTypo } from "../text/typing_errors.ts";

/** The environment's variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One variable of a program: what reads it, and how --help and rejections describe it. */
export interface Variable {
  readonly name: string;
  /** Replaces a variable that is unset or empty; without it the value is then undefined. */
  readonly default?: string;
  /** What --help shows as the default, where that is not one fixed text. */
  readonly defaultText?: string;
  /** Half a sentence for --help. */
  readonly description: string;
  /** Completes "expected …". */
  readonly expected: string;
  /** Undefined for what is not accepted. */
  readonly parse: (text: string) => unknown;
}

/** A program's variables by the name their values go by. */
export type VariableTable = Readonly<Record<string, Variable>>;

/** The values of a table's variables; undefined only for one without a default. */
export type VariableValues<T extends VariableTable> = {
  readonly [K in keyof T]: T[K] extends { readonly default: string }
    ? Exclude<ReturnType<T[K]["parse"]>, undefined>
    : ReturnType<T[K]["parse"]> | undefined;
};

/** A program's configuration, or every problem of it, one line each. */
export type ConfigResult<Config> =
  | { readonly kind: "config"; readonly config: Config; readonly warnings: string[] }
  | { readonly kind: "refused"; readonly problems: string[] };

/** These make @grpc/grpc-js print the metadata of calls, in which a client can have sent a token. */
const tracing = ["GRPC_TRACE", "GRPC_NODE_TRACE"];

/** Reads the environment once, and collects its problems. */
export class EnvironmentReader<T extends VariableTable> {
  readonly values: VariableValues<T>;
  readonly problems: string[] = [];
  readonly warnings: string[] = [];
  readonly #environment: Environment;
  readonly #rejected = new Set<string>();

  constructor(environment: Environment, table: T) {
    this.#environment = environment;
    const entries = Object.entries(table).map(([key, one]) => [key, this.#read(one)]);
    this.values = Object.fromEntries(entries);
    for (const name of tracing.filter((name) => this.isSet(name))) {
      this.problems.push(
        `${name} is set, and would print the metadata of calls, tokens among it: unset it`,
      );
    }
    this.#warnOfTypos(Object.keys(environment), table);
  }

  /** Whether a variable is set and not empty. */
  isSet(name: string): boolean {
    return this.#text(name) !== "";
  }

  /** Whether none of these variables is rejected, so that they can be compared with each other. */
  isValid(...names: string[]): boolean {
    return !names.some((name) => this.#rejected.has(name));
  }

  /** Rejects the value of a variable, or its absence. */
  reject(name: string, expected: string): void {
    const text = this.#text(name);
    const given = text === "" ? `${name} is not set` : `${name}="${abbreviate(text)}"`;
    this.problems.push(`${given}: expected ${expected}`);
    this.#rejected.add(name);
  }

  /** The configuration that `build` makes of the values, unless there is a problem. */
  outcome<Config>(build: () => Config): ConfigResult<Config> {
    if (this.problems.length > 0) return { kind: "refused", problems: this.problems };
    return { kind: "config", config: build(), warnings: this.warnings };
  }

  /** The variable's text; empty when it is unset. */
  #text(name: string): string {
    return (Object.hasOwn(this.#environment, name) && this.#environment[name]) || "";
  }

  #read(variable: Variable): unknown {
    const text = this.#text(variable.name);
    const value = text === "" ? undefined : variable.parse(text);
    if (value !== undefined) return value;
    if (text !== "") this.reject(variable.name, variable.expected);
    return variable.default === undefined ? undefined : variable.parse(variable.default);
  }

  #warnOfTypos(names: string[], table: VariableTable): void {
    const known = Object.values(table).map((variable) => variable.name);
    const unset = known.filter((name) => !this.isSet(name));
    for (const name of names.filter((name) => !known.includes(name))) {
      const meant = unset.find((candidate) => isTypo(name, candidate));
      if (meant) this.warnings.push(`${abbreviate(name)} is not known: is ${meant} meant?`);
    }
  }
}
