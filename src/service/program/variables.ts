import { commonVariables } from "../../shared/config/common_variables.ts";
import type { VariableTable } from "../../shared/config/environment.ts";
import {
  absolutePath,
  booleanWord,
  durationBetween,
  oneOf,
  parseAddress,
  parseObjectName,
  parseServiceAccount,
} from "../../shared/config/value_parsers.ts";
import { adminVariables } from "./admin_socket.ts";

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
