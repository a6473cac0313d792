import {
  type ConfigResult,
  type Environment,
  EnvironmentReader,
} from "../../shared/config/environment.ts";
import type { Address, ListenAddress } from "../../shared/text/network_address.ts";
import {
  healthAddress,
  listenAddress,
  type LoggingConfig,
  loggingConfig,
} from "../../shared/config/common_variables.ts";
import { formatDuration, longer, parseDuration, shorter } from "../../shared/text/durations.ts";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import { serviceVariables, usualMinValidity, usualValidity } from "./variables.ts";

/** How callers are authenticated. */
export type AuthenticationConfig =
  | { readonly kind: "kubernetes" }
  | { readonly kind: "mtls"; readonly clientCaFile: string }
  | { readonly kind: "none" };

/** Where the CA is stored. */
export type CaConfig =
  | NamespacedName & { readonly kind: "secret" }
  | { readonly kind: "files"; readonly certificateFile: string; readonly privateKeyFile: string };

/** The configuration of the service's program. */
export interface ServiceConfig {
  readonly listenAddress: ListenAddress;
  readonly tls: boolean;
  readonly authentication: AuthenticationConfig;
  /** Where drivers attest, with AUTHENTICATION=kubernetes. */
  readonly attestationAddress: ListenAddress;
  /** Distinguishes this cluster from others that have the same CA in files; undefined with the Secret. */
  readonly clusterId: string | undefined;
  readonly ca: CaConfig;
  readonly clusterDomain: string;
  /** The name in the service's own certificate; no policy grants it. */
  readonly servingName: string;
  /** Of the SPIFFE IDs of pods and nodes. */
  readonly trustDomain: string;
  readonly defaultValidity: Temporal.Duration;
  /** Not longer than the default. */
  readonly minValidity: Temporal.Duration;
  /** Not shorter than the default. */
  readonly maxValidity: Temporal.Duration;
  /** From the publication of a new CA to its first signature. */
  readonly caRotationDelay: Temporal.Duration;
  readonly policyFile: string | undefined;
  /** Its tokens identify nodes. */
  readonly driverServiceAccount: NamespacedName;
  /** Names that resolve to the replicas' addresses; undefined: each replica answers administrators alone. */
  readonly peers: readonly Address[] | undefined;
  /** Undefined: administrators cannot call. */
  readonly adminSocket: string | undefined;
  /** Undefined: no health endpoint. */
  readonly health: ListenAddress | undefined;
  readonly logging: LoggingConfig;
}

const noAuthentication =
  "AUTHENTICATION=none: every client that reaches LISTEN_ADDR gets certificates";
const noPodCheck =
  "without the Kubernetes API the service does not verify what callers state about " +
  "pods: a node can get certificates for any pod";

/** Risks of the configuration that /readyz shows, a sentence each. */
export function configurationWarnings(
  { authentication }: ServiceConfig,
  usesCluster: boolean,
): string[] {
  return [
    ...(authentication.kind === "none" ? [noAuthentication] : []),
    ...(usesCluster ? [] : [noPodCheck]),
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
  const validities = readValidities(reading);
  return reading.outcome(() => ({
    listenAddress: listenAddress(reading, serviceVariables.listenAddress, values.listenAddress),
    tls: values.tls,
    authentication,
    attestationAddress: listenAddress(
      reading,
      serviceVariables.attestationAddress,
      values.attestationAddress,
    ),
    clusterId: ca.kind === "files" ? values.clusterId : undefined,
    ca,
    clusterDomain: values.clusterDomain,
    servingName: values.servingName,
    trustDomain: values.trustDomain ?? values.clusterDomain,
    ...validities,
    caRotationDelay: values.caRotationDelay,
    policyFile: values.policyFile,
    driverServiceAccount: values.driverServiceAccount,
    peers: peerNames(reading, authentication),
    adminSocket: values.adminSocket,
    health: healthAddress(reading),
    logging: loggingConfig(reading),
  }));
}

function authenticationConfig(reading: ServiceReading): AuthenticationConfig {
  const { authentication: kind, clientCaFile, tls } = reading.values;
  if (!reading.isValid("AUTHENTICATION", "TLS", "CLIENT_CA_FILE")) return { kind: "none" };
  if (kind === "none") {
    reading.warnings.push(noAuthentication);
  } else if (!tls) {
    const reason = "client certificates need TLS";
    reading.reject("TLS", `on with AUTHENTICATION=${kind} (${reason}), or AUTHENTICATION=none`);
  }
  if (kind !== "mtls") {
    if (clientCaFile) {
      reading.warnings.push(
        `CLIENT_CA_FILE is ignored: AUTHENTICATION is ${kind}, and only mtls uses it`,
      );
    }
    return { kind };
  }
  if (clientCaFile === undefined) {
    reading.reject("CLIENT_CA_FILE", "an absolute path with AUTHENTICATION=mtls");
  }
  return { kind, clientCaFile: clientCaFile ?? "" };
}

/** Replicas identify themselves with certificates of the node CA, which exists only where nodes attest. */
function peerNames(
  reading: ServiceReading,
  { kind }: AuthenticationConfig,
): readonly Address[] | undefined {
  const { peers } = reading.values;
  if (peers === undefined || kind === "kubernetes") return peers;
  reading.warnings.push(`PEERS is ignored: it needs AUTHENTICATION=kubernetes, which is ${kind}`);
  return undefined;
}

function caConfig(reading: ServiceReading): CaConfig {
  const { caCertificateFile, caKeyFile, caSecretNamespace, caSecretName } = reading.values;
  const [certificate, key] = ["CA_CERT_FILE", "CA_KEY_FILE"] as const;
  if (reading.isSet(certificate) !== reading.isSet(key)) {
    const missing = reading.isSet(key) ? certificate : key;
    const set = reading.isSet(key) ? key : certificate;
    reading.reject(missing, `an absolute path, because ${set} is set and both are needed`);
  }
  if (caCertificateFile === undefined || caKeyFile === undefined) {
    return { kind: "secret", namespace: caSecretNamespace, name: caSecretName };
  }
  if (reading.isSet("CA_SECRET_NAME") || reading.isSet("CA_SECRET_NAMESPACE")) {
    reading.warnings.push(
      "CA_SECRET_NAME and CA_SECRET_NAMESPACE are ignored: CA_CERT_FILE is set",
    );
  }
  return { kind: "files", certificateFile: caCertificateFile, privateKeyFile: caKeyFile };
}

/** With the CA in files only CLUSTER_ID distinguishes the node certificates of two clusters. */
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
      "CLUSTER_ID is ignored: only AUTHENTICATION=kubernetes with CA_CERT_FILE uses it",
    );
  }
}

type Validities = Pick<ServiceConfig, "minValidity" | "defaultValidity" | "maxValidity">;

/** Rejects validities that are not in this order; a default of what is unset follows what is set. */
function readValidities(reading: ServiceReading): Validities {
  const { minValidity, defaultValidity, maxValidity } = reading.values;
  requireAtMost(reading, "DEFAULT_VALIDITY", "MAX_VALIDITY");
  requireAtMost(reading, "MIN_VALIDITY", "MAX_VALIDITY");
  requireAtMost(reading, "MIN_VALIDITY", "DEFAULT_VALIDITY");
  const usual = (text: string) => shorter(parseDuration(text) ?? maxValidity, maxValidity);
  const least = minValidity ??
    shorter(usual(usualMinValidity), defaultValidity ?? maxValidity);
  return {
    minValidity: least,
    defaultValidity: defaultValidity ?? longer(usual(usualValidity), least),
    maxValidity,
  };
}

/** Rejects a validity that is set and longer than another; the problem names both and their values. */
function requireAtMost(
  reading: ServiceReading,
  name: "MIN_VALIDITY" | "DEFAULT_VALIDITY",
  limitName: "DEFAULT_VALIDITY" | "MAX_VALIDITY",
): void {
  const { minValidity, defaultValidity, maxValidity } = reading.values;
  const value = name === "MIN_VALIDITY" ? minValidity : defaultValidity;
  const limit = limitName === "MAX_VALIDITY" ? maxValidity : defaultValidity;
  if (!value || !limit || !reading.isValid(name, limitName)) return;
  if (Temporal.Duration.compare(value, limit) <= 0) return;
  const given = formatDuration(limit) + (reading.isSet(limitName) ? "" : " where it is unset");
  reading.reject(name, `at most ${limitName}, which is ${given}`);
}
