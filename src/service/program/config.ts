import {
  type ConfigResult,
  type Environment,
  EnvironmentReader,
} from "../../shared/config/environment.ts";
import { type Address, formatAddress } from "../../shared/config/value_parsers.ts";
import {
  healthAddress,
  type LoggingConfig,
  loggingConfig,
} from "../../shared/config/common_variables.ts";
import { serverName } from "../../shared/text/product_names.ts";
import { serviceVariables } from "./variables.ts";

/** How callers prove who they are. */
export type AuthenticationConfig =
  | { readonly kind: "kubernetes" }
  | { readonly kind: "mtls"; readonly clientCaFile: string }
  | { readonly kind: "none" };

/** Where the CA comes from. */
export type CaConfig =
  | { readonly kind: "secret"; readonly namespace: string; readonly name: string }
  | { readonly kind: "files"; readonly certificateFile: string; readonly privateKeyFile: string };

/** The configuration of the service's program. */
export interface ServiceConfig {
  /** "host:port". */
  readonly listenAddress: string;
  readonly tls: boolean;
  /** The one name on the serving certificate. */
  readonly serverName: string;
  readonly authentication: AuthenticationConfig;
  /** Where drivers attest, with AUTHENTICATION=kubernetes. */
  readonly attestationAddress: Address;
  /** Distinguishes this cluster from others that have the same CA in files; undefined with the Secret. */
  readonly clusterId: string | undefined;
  readonly ca: CaConfig;
  readonly clusterDomain: string;
  readonly defaultValidity: Temporal.Duration;
  /** Not shorter than the default. */
  readonly maxValidity: Temporal.Duration;
  /** From a new CA's publication to the first signature with it. */
  readonly caRotationDelay: Temporal.Duration;
  readonly policyFile: string | undefined;
  /** Whose tokens speak for nodes. */
  readonly driverServiceAccount: { readonly namespace: string; readonly name: string };
  /** Undefined: administrators cannot call. */
  readonly adminSocket: string | undefined;
  readonly health: Address | undefined;
  readonly logging: LoggingConfig;
}

/** What the configuration permits and an operator has to know of, a sentence each. */
export function configurationWarnings(
  { authentication }: ServiceConfig,
  asksCluster: boolean,
): string[] {
  const anybody = "AUTHENTICATION=none: whoever reaches this service gets certificates";
  const anyPod = "without the Kubernetes API callers are believed about their pods: " +
    "a node can have certificates for any pod";
  return [
    ...(authentication.kind === "none" ? [anybody] : []),
    ...(asksCluster ? [] : [anyPod]),
  ];
}

type ServiceReading = EnvironmentReader<typeof serviceVariables>;

/** Reads the service's environment. */
export function readServiceConfig(environment: Environment): ConfigResult<ServiceConfig> {
  const reading: ServiceReading = new EnvironmentReader(environment, serviceVariables);
  const { values } = reading;
  const authentication = authenticationConfig(reading);
  const ca = caConfig(reading);
  requireClusterId(reading, authentication, ca);
  const defaultValidity = readDefaultValidity(reading);
  return reading.outcome(() => ({
    listenAddress: formatAddress(values.listenAddress),
    tls: values.tls,
    serverName,
    authentication,
    attestationAddress: values.attestationAddress,
    clusterId: ca.kind === "files" ? values.clusterId : undefined,
    ca,
    clusterDomain: values.clusterDomain,
    defaultValidity,
    maxValidity: values.maxValidity,
    caRotationDelay: values.caRotationDelay,
    policyFile: values.policyFile,
    driverServiceAccount: values.driverServiceAccount,
    adminSocket: values.adminSocket,
    health: healthAddress(values),
    logging: loggingConfig(reading),
  }));
}

function authenticationConfig(reading: ServiceReading): AuthenticationConfig {
  const { authentication: kind, clientCaFile, tls } = reading.values;
  if (!reading.isValid("AUTHENTICATION", "TLS", "CLIENT_CA_FILE")) return { kind: "none" };
  if (kind === "none") {
    reading.warnings.push("AUTHENTICATION=none: whoever reaches LISTEN_ADDR gets certificates");
  } else if (!tls) {
    const reason = "tokens and client certificates need TLS";
    reading.reject("TLS", `on with AUTHENTICATION=${kind} (${reason}), or AUTHENTICATION=none`);
  }
  if (kind !== "mtls") {
    if (clientCaFile) reading.warnings.push("CLIENT_CA_FILE is read with AUTHENTICATION=mtls only");
    return { kind };
  }
  if (clientCaFile === undefined) {
    reading.reject("CLIENT_CA_FILE", "an absolute path with AUTHENTICATION=mtls");
  }
  return { kind, clientCaFile: clientCaFile ?? "" };
}

function caConfig(reading: ServiceReading): CaConfig {
  const { caCertificateFile, caKeyFile, caSecretNamespace, caSecretName } = reading.values;
  const [certificate, key] = ["CA_CERT_FILE", "CA_KEY_FILE"] as const;
  if (reading.isSet(certificate) !== reading.isSet(key)) {
    const missing = reading.isSet(key) ? certificate : key;
    reading.reject(missing, "an absolute path, as the other half of the pair is set");
  }
  if (caCertificateFile === undefined || caKeyFile === undefined) {
    return { kind: "secret", namespace: caSecretNamespace, name: caSecretName };
  }
  if (reading.isSet("CA_SECRET_NAME") || reading.isSet("CA_SECRET_NAMESPACE")) {
    reading.warnings.push(
      "CA_CERT_FILE is set: CA_SECRET_NAME and CA_SECRET_NAMESPACE are not read",
    );
  }
  return { kind: "files", certificateFile: caCertificateFile, privateKeyFile: caKeyFile };
}

/** With the CA in files nothing else distinguishes two clusters' node certificates. */
function requireClusterId(
  reading: ServiceReading,
  authentication: AuthenticationConfig,
  ca: CaConfig,
): void {
  if (!reading.isValid("AUTHENTICATION", "CLUSTER_ID")) return;
  const isNeeded = authentication.kind === "kubernetes" && ca.kind === "files";
  if (isNeeded && !reading.isSet("CLUSTER_ID")) {
    reading.reject(
      "CLUSTER_ID",
      "a text that no other cluster has, such as its name, with AUTHENTICATION=kubernetes and " +
        "the CA in files",
    );
  }
  if (!isNeeded && reading.isSet("CLUSTER_ID")) {
    reading.warnings.push(
      "CLUSTER_ID is read with AUTHENTICATION=kubernetes and CA_CERT_FILE only",
    );
  }
}

function readDefaultValidity(reading: ServiceReading): Temporal.Duration {
  const { defaultValidity, maxValidity } = reading.values;
  const isOver = (duration: Temporal.Duration) =>
    Temporal.Duration.compare(duration, maxValidity) > 0;
  if (defaultValidity === undefined) {
    const usual = Temporal.Duration.from({ hours: 168 });
    return isOver(usual) ? maxValidity : usual;
  }
  if (reading.isValid("MAX_VALIDITY") && isOver(defaultValidity)) {
    reading.reject("DEFAULT_VALIDITY", "at most MAX_VALIDITY (720h where that is not set)");
  }
  return defaultValidity;
}
