import { parseDnsName } from "../text/name_syntax.ts";
import type { Address, ListenAddress } from "../text/network_address.ts";
import { abbreviate } from "../text/printable_text.ts";
import type { EnvironmentReader, Variable, VariableTable } from "./environment.ts";
import { serverName } from "../text/product_names.ts";
import { oneOf, parseAddress, parseServingName } from "./value_parsers.ts";

/** How much is logged, as LogTape calls it. */
export type LogLevel = "trace" | "debug" | "info" | "warning" | "error";

/** What is logged, and how. */
export interface LoggingConfig {
  readonly level: LogLevel;
  readonly format: "text" | "json";
}

/** The variables that both programs read. */
export const commonVariables = {
  clusterDomain: {
    name: "CLUSTER_DOMAIN",
    default: "cluster.local",
    description: "the cluster's DNS domain, the end of every pod's full name",
    expected: 'a DNS name in lower case, such as "cluster.local"',
    parse: (text: string) => parseDnsName(text),
  },
  servingName: {
    name: "SERVING_NAME",
    default: serverName,
    description: "the name in the service's certificate, the same in both programs; no pod gets it",
    expected:
      "a DNS name in lower case of at least two labels and at most 64 characters, which is " +
      "no name of the API server or of this machine",
    parse: parseServingName,
  },
  health: {
    name: "HEALTH_ADDR",
    default: "[::]:9808",
    description: "where /livez, /readyz and /metrics are served over HTTP, or off",
    expected: 'host:port, such as "[::]:9808" or "0.0.0.0:9808", or off',
    parse: (text: string) => text === "off" ? text : parseAddress(text),
  },
  logLevel: {
    name: "LOG_LEVEL",
    defaultText: "RUST_LOG's, else info",
    description: "trace, debug, info, warning or error",
    expected: "trace, debug, info, warning (or warn) or error",
    parse: parseLogLevel,
  },
  rustLog: {
    name: "RUST_LOG",
    description: 'read where LOG_LEVEL is unset: the bare level in "info,h2=warn"',
    expected: "any text",
    parse: (text: string) => text,
  },
  logFormat: {
    name: "LOG_FORMAT",
    default: "text",
    description: "text, or json for one object a line",
    expected: "text or json",
    parse: oneOf("text", "json"),
  },
} as const satisfies VariableTable;

/** The level and format of the log; warns of a RUST_LOG that names no level. */
export function loggingConfig(reading: EnvironmentReader<typeof commonVariables>): LoggingConfig {
  const { logLevel, rustLog, logFormat } = reading.values;
  if (logLevel !== undefined) return { level: logLevel, format: logFormat };
  const bare = rustLog?.split("/")[0]?.split(",").filter((directive) => !directive.includes("="));
  const level = bare?.map((directive) => parseLogLevel(directive.trim())).findLast(Boolean);
  if (rustLog !== undefined && level === undefined) {
    const given = abbreviate(rustLog);
    reading.warnings.push(`RUST_LOG="${given}" names no level of its own: info is used`);
  }
  return { level: level ?? "info", format: logFormat };
}

/** Where to serve health, or undefined for nowhere. */
export function healthAddress(
  reading: Pick<EnvironmentReader<typeof commonVariables>, "values" | "isSet">,
): ListenAddress | undefined {
  const { health } = reading.values;
  return health === "off" ? undefined : listenAddress(reading, commonVariables.health, health);
}

/** The address that a variable states, with what a listener's error names. */
export function listenAddress(
  reading: { isSet(name: string): boolean },
  { name }: Variable,
  address: Address,
): ListenAddress {
  return { ...address, variable: name, isDefault: !reading.isSet(name) };
}

function parseLogLevel(text: string): LogLevel | undefined {
  const word = text.toLowerCase();
  return word === "warn" ? "warning" : oneOf("trace", "debug", "info", "warning", "error")(word);
}
