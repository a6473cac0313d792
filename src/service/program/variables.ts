import { commonVariables } from "../../shared/config/common_variables.ts";
import type { VariableTable } from "../../shared/config/environment.ts";
import {
  absolutePath,
  booleanWord,
  oneOf,
  parseAddress,
} from "../../shared/config/value_parsers.ts";
import { durationBetween, validityFormat } from "../../shared/text/durations.ts";
import { isObjectName, parseNamespacedName } from "../../shared/text/kubernetes_names.ts";
import { isDnsLabel } from "../../shared/text/name_syntax.ts";
import { installed } from "../../shared/text/product_names.ts";
import { adminVariables } from "./admin_socket.ts";

const file = { expected: "an absolute path", parse: absolutePath() };

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
    default: `${installed.namespace}/${installed.driverServiceAccount}`,
    description: "the driver's service account, whose tokens identify nodes",
    expected: "NAMESPACE/NAME",
    parse: parseNamespacedName,
  },
  caSecretName: {
    name: "CA_SECRET_NAME",
    default: installed.caSecret,
    description: "the Secret with the CA (tls.crt, tls.key, optional ca.crt)",
    expected: "the name of a Secret: at most 253 lower-case letters, digits, - and .",
    parse: (text: string) => isObjectName(text) ? text : undefined,
  },
  caSecretNamespace: {
    name: "CA_SECRET_NAMESPACE",
    default: "kube-system",
    description: "its namespace",
    expected: "the name of a namespace: at most 63 lower-case letters, digits and -",
    parse: (text: string) => isDnsLabel(text) ? text : undefined,
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
    ...validityFormat,
  },
  maxValidity: {
    name: "MAX_VALIDITY",
    default: "720h",
    description: "the longest lifetime a volume gets",
    ...validityFormat,
  },
  policyFile: {
    name: "POLICY_FILE",
    description: "what namespaces may have beyond the default",
    ...file,
  },
  ...adminVariables,
  ...commonVariables,
} as const satisfies VariableTable;
