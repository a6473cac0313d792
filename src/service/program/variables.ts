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
import { isDnsLabel, isTrustDomain } from "../../shared/text/name_syntax.ts";
import type { Address } from "../../shared/text/network_address.ts";
import { installed } from "../../shared/text/product_names.ts";
import { adminVariables } from "./admin_socket.ts";

const file = { expected: "an absolute path", parse: absolutePath() };

/** The default validity, as far as MIN_VALIDITY and MAX_VALIDITY allow it. */
export const usualValidity = "168h";

/**
 * The shortest validity where MIN_VALIDITY is unset: as Kubernetes' own pod certificates, so that no
 * author of a pod can make the service sign every few seconds. A shorter DEFAULT_VALIDITY or
 * MAX_VALIDITY lowers it.
 */
export const usualMinValidity = "1h";

/** The service's own variables and those it shares with the driver, in the order of --help. */
export const serviceVariables = {
  listenAddress: {
    name: "LISTEN_ADDR",
    default: "[::]:50051",
    description: "the address of the gRPC port, which drivers call",
    expected: 'host:port, such as "[::]:50051" or "0.0.0.0:50051"',
    parse: parseAddress,
  },
  tls: {
    name: "TLS",
    default: "on",
    description:
      "off: plaintext, which needs AUTHENTICATION=none, and http:// in the drivers' CERT_SERVICE_ADDR",
    expected: "on or off",
    parse: booleanWord("on", "off"),
  },
  authentication: {
    name: "AUTHENTICATION",
    default: "kubernetes",
    description:
      "how callers are authenticated: kubernetes (nodes attest with the driver's token), mtls " +
      "(client certificates from files) or none",
    expected: "kubernetes, mtls or none",
    parse: oneOf("kubernetes", "mtls", "none"),
  },
  clientCaFile: {
    name: "CLIENT_CA_FILE",
    description:
      "with AUTHENTICATION=mtls: the CA of the drivers' client certificates, PEM; not the CA that " +
      "signs for pods",
    ...file,
  },
  attestationAddress: {
    name: "ATTESTATION_LISTEN_ADDR",
    default: "[::]:50052",
    description:
      "with AUTHENTICATION=kubernetes: the address where drivers attest with their token",
    expected: 'host:port, such as "[::]:50052" or "0.0.0.0:50052"',
    parse: parseAddress,
  },
  clusterId: {
    name: "CLUSTER_ID",
    description:
      "with AUTHENTICATION=kubernetes and the CA in files: a text that no other cluster has, such " +
      "as the cluster's name",
    expected: "1 to 253 letters, digits and characters of . _ : -",
    parse: (text: string) => /^[A-Za-z0-9._:-]{1,253}$/.test(text) ? text : undefined,
  },
  peers: {
    name: "PEERS",
    description:
      "all replicas' gRPC ports, which the commands ask too; a name may have several addresses",
    expected: 'host:port, several with commas between, such as "cert-service-peers:50051"',
    parse: parsePeers,
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
    description:
      "the Secret with the CA (tls.crt, tls.key, optional ca.crt and tls-previous.crt, tls-previous.key)",
    expected: "the name of a Secret: at most 253 lower-case letters, digits, - and .",
    parse: (text: string) => isObjectName(text) ? text : undefined,
  },
  caSecretNamespace: {
    name: "CA_SECRET_NAMESPACE",
    default: "kube-system",
    description: "the namespace of that Secret",
    expected: "the name of a namespace: at most 63 lower-case letters, digits and -",
    parse: (text: string) => isDnsLabel(text) ? text : undefined,
  },
  caCertificateFile: {
    name: "CA_CERT_FILE",
    description: "the CA's certificate, PEM, instead of the Secret",
    ...file,
  },
  caKeyFile: { name: "CA_KEY_FILE", description: "the CA's private key, PEM", ...file },
  caRotationDelay: {
    name: "CA_ROTATION_DELAY",
    default: "10m",
    description: "the time from the publication of a new CA to its first signature",
    ...durationBetween("0s", "720h"),
  },
  defaultValidity: {
    name: "DEFAULT_VALIDITY",
    defaultText: `${usualValidity}, not under MIN_VALIDITY or over MAX_VALIDITY`,
    description: "the lifetime of a certificate whose volume states none",
    ...validityFormat,
  },
  minValidity: {
    name: "MIN_VALIDITY",
    defaultText: `${usualMinValidity}, or DEFAULT_VALIDITY or MAX_VALIDITY if shorter`,
    description:
      "the shortest lifetime of new volumes and renewals, unless a policy rule states another",
    ...validityFormat,
  },
  maxValidity: {
    name: "MAX_VALIDITY",
    default: "720h",
    description:
      "the longest lifetime that a volume can ask for, unless a policy rule states another",
    ...validityFormat,
  },
  policyFile: {
    name: "POLICY_FILE",
    description: "the policy: what namespaces may have in addition to the default",
    ...file,
  },
  trustDomain: {
    name: "TRUST_DOMAIN",
    defaultText: "CLUSTER_DOMAIN",
    description:
      "the trust domain of SPIFFE IDs, of pods and of nodes; another one for each cluster under " +
      "the same root",
    expected:
      'a SPIFFE trust domain, such as "prod.example.com": 1 to 255 lower-case letters, digits and ' +
      "characters of . _ -",
    parse: (text: string) => isTrustDomain(text) ? text : undefined,
  },
  ...adminVariables,
  ...commonVariables,
} as const satisfies VariableTable;

function parsePeers(text: string): Address[] | undefined {
  const addresses = text.split(",").map((part) => parseAddress(part.trim()));
  const usable = addresses.filter((address) => address !== undefined && address.port !== 0);
  return usable.length === addresses.length ? usable as Address[] : undefined;
}
