/**
 * This folder composes `csi-driver`: its configuration, its help page, its metrics, its `status`
 * command, and the order in which its parts start and stop. Its main type is `DriverConfig`; its
 * main function is `serve`. It must never contain a rule of the domain, and only the entry imports
 * it.
 */

import {
  commonVariables,
  healthAddress,
  type LoggingConfig,
  loggingConfig,
} from "../../shared/config/common_variables.ts";
import {
  type ConfigResult,
  type Environment,
  EnvironmentReader,
  type VariableTable,
} from "../../shared/config/environment.ts";
import {
  absolutePath,
  booleanWord,
  parseSocketPath,
  servedPathLimits,
  utf8Length,
} from "../../shared/config/value_parsers.ts";
import { maxSocketPathBytes } from "../../shared/text/limits.ts";
import { durationBetween } from "../../shared/text/durations.ts";
import type { ListenAddress } from "../../shared/text/network_address.ts";
import { hasUnprintable } from "../../shared/text/printable_text.ts";
import {
  defaultSelinuxContext,
  parseSelinuxContext,
  type SelinuxContext,
} from "../mount/selinux_context.ts";
import type { ServiceConnection } from "../service_client/connection.ts";
import { driverName } from "../../shared/text/product_names.ts";
import { certServiceConfig, certServiceVariables } from "./cert_service_config.ts";

/** The configuration of the node's program. */
export interface DriverConfig {
  readonly socketPath: string;
  readonly nodeId: string;
  readonly certService: ServiceConnection;
  readonly certBasePath: string;
  readonly clusterDomain: string;
  /** Undefined: something else registers the driver with the kubelet. */
  readonly registration:
    | { readonly directory: string; readonly kubeletSocketPath: string }
    | undefined;
  readonly health: ListenAddress | undefined;
  readonly logging: LoggingConfig;
  /** The time between two sweeps that compare records, mounts and scheduled renewals. */
  readonly checkInterval: Temporal.Duration;
  /** Whether keys may be stored in a plain directory where mounting a tmpfs is not permitted. */
  readonly allowKeysOnDisk: boolean;
  /** Undefined: volumes are mounted without a context. */
  readonly selinuxContext: SelinuxContext | undefined;
}

/** The kubelet's limit, and that of older CSI specifications. */
const longestNodeId = 192;

const longestRegistrationDir = maxSocketPathBytes - `/${driverName}-reg.sock`.length;
const file = { expected: "an absolute path", parse: absolutePath() };

/** The driver's own variables and those it shares with the service, in the order of --help. */
export const driverVariables = {
  socketPath: {
    name: "CSI_ENDPOINT",
    default: "unix:///csi/csi.sock",
    description: "the socket the kubelet calls",
    expected: `unix:///path, unix://path or an absolute path, ${servedPathLimits}`,
    parse: parseSocketPath,
  },
  nodeId: {
    name: "NODE_ID",
    defaultText: "the host name",
    description: "this node's name in Kubernetes (spec.nodeName)",
    expected: `a name of at most ${longestNodeId} bytes, without blanks`,
    parse: parseNodeId,
  },
  ...certServiceVariables,
  certBasePath: {
    name: "CERT_BASE_PATH",
    default: "/var/lib/csi-certs",
    description: "where this node's records are kept over restarts",
    ...file,
  },
  registrationDirectory: {
    name: "REGISTRATION_DIR",
    defaultText: "off",
    description: "the kubelet's plugins_registry, for registration without a sidecar",
    expected: `an absolute path of at most ${longestRegistrationDir} bytes`,
    parse: absolutePath(longestRegistrationDir),
  },
  kubeletSocketPath: {
    name: "KUBELET_SOCKET_PATH",
    defaultText: "CSI_ENDPOINT's path",
    description: "the host's path of CSI_ENDPOINT, which the kubelet receives at registration",
    expected: `an absolute path of at most ${maxSocketPathBytes} bytes`,
    parse: absolutePath(maxSocketPathBytes),
  },
  checkInterval: {
    name: "CHECK_INTERVAL",
    default: "5m",
    description: "how often records, mounts and scheduled renewals are compared",
    ...durationBetween("10s", "24h"),
  },
  allowKeysOnDisk: {
    name: "ALLOW_KEYS_ON_DISK",
    default: "false",
    description: "true: where mounting is not permitted, keys may be stored outside a tmpfs",
    expected: "true or false",
    parse: booleanWord("true", "false"),
  },
  selinuxContext: {
    name: "SELINUX_CONTEXT",
    defaultText: defaultSelinuxContext,
    description: "where SELinux is enabled, the context of the files in volumes, or off",
    expected: "user:role:type:level, or off",
    parse: (text: string) => text === "off" ? text : parseSelinuxContext(text),
  },
  ...commonVariables,
} as const satisfies VariableTable;

type DriverReading = EnvironmentReader<typeof driverVariables>;

/** Reads the driver's environment; the host name is the default of NODE_ID. */
export function readDriverConfig(
  environment: Environment,
  hostName: string,
): ConfigResult<DriverConfig> {
  const reading: DriverReading = new EnvironmentReader(environment, driverVariables);
  const { values } = reading;
  const nodeId = values.nodeId ?? parseNodeId(hostName);
  if (nodeId === undefined && reading.isValid("NODE_ID")) {
    reading.reject("NODE_ID", `${driverVariables.nodeId.expected}; the host name cannot be used`);
  }
  const certService = certServiceConfig(reading, reading.values.servingName);
  const registration = registrationConfig(reading);
  return reading.outcome(() => ({
    socketPath: values.socketPath,
    nodeId: nodeId ?? "",
    certService,
    certBasePath: values.certBasePath,
    clusterDomain: values.clusterDomain,
    registration,
    health: healthAddress(reading),
    logging: loggingConfig(reading),
    checkInterval: values.checkInterval,
    allowKeysOnDisk: values.allowKeysOnDisk,
    selinuxContext: selinuxContext(values.selinuxContext),
  }));
}

function registrationConfig(reading: DriverReading): DriverConfig["registration"] {
  const { registrationDirectory: directory, socketPath, kubeletSocketPath } = reading.values;
  if (directory === undefined) return undefined;
  if (kubeletSocketPath === undefined && !socketPath.startsWith("/")) {
    reading.reject(
      "KUBELET_SOCKET_PATH",
      "an absolute path, because the path in CSI_ENDPOINT is relative",
    );
  }
  return { directory, kubeletSocketPath: kubeletSocketPath ?? socketPath };
}

function selinuxContext(value: string | undefined): SelinuxContext | undefined {
  if (value === "off") return undefined;
  return { context: value ?? defaultSelinuxContext, isRequired: value !== undefined };
}

function parseNodeId(text: string): string | undefined {
  const isName = text !== "" && !hasUnprintable(text) && !/\s/.test(text);
  return isName && utf8Length(text) <= longestNodeId ? text : undefined;
}
