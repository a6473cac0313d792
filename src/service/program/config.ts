import {
  type ConfigResult,
  type Environment,
  EnvironmentReader,
  type VariableTable,
} from "../../shared/config/environment.ts";
import {
  absolutePath,
  type Address,
  booleanWord,
  durationBetween,
  formatAddress,
  oneOf,
  parseAddress,
  parseObjectName,
  parseServiceAccount,
} from "../../shared/config/value_parsers.ts";
import {
  commonVariables,
  healthAddress,
  type LoggingConfig,
  loggingConfig,
} from "../../shared/config/common_variables.ts";
import { adminVariables } from "./admin_socket.ts";
import { serverName } from "../../shared/text/product_names.ts";

/** How callers prove who they are. */
export type AuthenticationConfig =
  | { readonly kind: "kubernetes" }
  | { readonly kind: "mtls"; readonly clientCaFile: string }
  | { readonly kind: "none" };

/** Where the CA comes from. */
export type CaConfig =
  | { readonly kind: "secret"; readonly namespace: string; readonly name: string }
  | { readonly kind: "files"; readonly certificateFile: string; readonly privateKeyFile: string };

/** What the service's program is told. */
export interface ServiceConfig {
  /** "host:port". */
  readonly listenAddress: string;
  readonly tls: boolean;
  /** The one name on the serving certificate. */
  readonly serverName: string;
  readonly authentication: AuthenticationConfig;
  /** Where drivers attest, with AUTHENTICATION=kubernetes. */
  readonly attestationAddress: Address;
  /** Tells this cluster from others that have the same CA in files; undefined with the Secret. */
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

const file = { expected: "an absolute path", parse: absolutePath() };
const objectName = {
  expected: "the name of a Kubernetes object: lower-case letters, digits, - and .",
  parse: parseObjectName,
};
const validity = durationBetween("10s", "87600h");

/** The service's own variables and those it shares with the driver, in the order of --help. */
export const serviceVariables = {
  listenAddress: {
    name: "LISTEN_ADDR",
    default: "0.0.0.0:50051",
    description: "where drivers call",
    expected: 'host:port, such as "0.0.0.0:50051" or "[::]:50051"',
    parse: parseAddress,
  },
  tls: {
    name: "TLS",
    default: "on",
    description: "off: plaintext, which also needs AUTHENTICATION=none and http:// at the drivers",
    expected: "on or off",
    parse: booleanWord("on", "off"),
  },
  authentication: {
    name: "AUTHENTICATION",
    default: "kubernetes",
    description:
      "who callers are: kubernetes (nodes attest with their driver's token), mtls (certificates " +
      "from files) or none",
    expected: "kubernetes, mtls or none",
    parse: oneOf("kubernetes", "mtls", "none"),
  },
  clientCaFile: {
    name: "CLIENT_CA_FILE",
    description: "the CA of the drivers' certificates, for mtls; not the CA that signs for pods",
    ...file,
  },
  attestationAddress: {
    name: "ATTESTATION_LISTEN_ADDR",
    default: "0.0.0.0:50052",
    description: "where drivers show their token, with AUTHENTICATION=kubernetes",
    expected: 'host:port, such as "0.0.0.0:50052" or "[::]:50052"',
    parse: parseAddress,
  },
  clusterId: {
    name: "CLUSTER_ID",
    description: "this cluster's own text for node certificates, where the CA is in files",
    expected: "1 to 253 letters, digits and characters of . _ : -",
    parse: (text: string) => /^[A-Za-z0-9._:-]{1,253}$/.test(text) ? text : undefined,
  },
  driverServiceAccount: {
    name: "DRIVER_SERVICE_ACCOUNT",
    default: "csi-cert-system/csi-cert-driver",
    description: "the service account whose tokens speak for nodes",
    expected: "namespace/name",
    parse: parseServiceAccount,
  },
  caSecretName: {
    name: "CA_SECRET_NAME",
    default: "csi-ca-secret",
    description: "the Secret with the CA (tls.crt, tls.key, optional ca.crt)",
    ...objectName,
  },
  caSecretNamespace: {
    name: "CA_SECRET_NAMESPACE",
    default: "kube-system",
    description: "its namespace",
    ...objectName,
  },
  caCertificateFile: {
    name: "CA_CERT_FILE",
    description: "the CA's certificate, PEM, in place of the Secret",
    ...file,
  },
  caKeyFile: { name: "CA_KEY_FILE", description: "its private key, PEM", ...file },
  caRotationDelay: {
    name: "CA_ROTATION_DELAY",
    default: "10m",
    description: "from a new CA's publication to the first signature with it",
    ...durationBetween("0s", "720h"),
  },
  defaultValidity: {
    name: "DEFAULT_VALIDITY",
    defaultText: "168h, or MAX_VALIDITY if shorter",
    description: "a certificate's lifetime where its volume names none",
    ...validity,
  },
  maxValidity: {
    name: "MAX_VALIDITY",
    default: "720h",
    description: "the longest lifetime a volume gets",
    ...validity,
  },
  policyFile: {
    name: "POLICY_FILE",
    description: "what namespaces may have beyond the default",
    ...file,
  },
  ...adminVariables,
  ...commonVariables,
} as const satisfies VariableTable;

/** What a configuration lets pass that an operator has to know of, a sentence each. */
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
