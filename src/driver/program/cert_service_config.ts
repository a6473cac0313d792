import type { EnvironmentReader, VariableTable } from "../../shared/config/environment.ts";
import { absolutePath, parseAddress, parseServiceUrl } from "../../shared/config/value_parsers.ts";
import type { ServiceConnection } from "../service_client/connection.ts";
import type { Address } from "../../shared/text/network_address.ts";

/** The port of the service's attestation endpoint. */
const attestationPort = 50052;

const file = { expected: "an absolute path", parse: absolutePath() };

/** The variables that say how the certificate service is reached. */
export const certServiceVariables = {
  address: {
    name: "CERT_SERVICE_ADDR",
    default: "https://cert-service:50051",
    description: "the certificate service; http:// for plaintext",
    expected: "https://host:port or http://host:port (port 50051 if left out)",
    parse: parseServiceUrl,
  },
  caFile: {
    name: "CERT_SERVICE_CA_FILE",
    default: "/etc/csi-cert-driver/trust-bundle/ca.crt",
    description: "the service's trust bundle, PEM",
    ...file,
  },
  tokenFile: {
    name: "CERT_SERVICE_TOKEN_FILE",
    description: "the projected token, shown to ATTESTATION_ADDR alone for a node certificate",
    ...file,
  },
  attestation: {
    name: "ATTESTATION_ADDR",
    defaultText: `CERT_SERVICE_ADDR's host, port ${attestationPort}`,
    description: "where a service with AUTHENTICATION=kubernetes attests nodes",
    expected: "https://host:port",
    parse: parseAttestationUrl,
  },
  clientCertificateFile: {
    name: "CERT_SERVICE_CLIENT_CERT_FILE",
    description: "the certificate shown to a service with AUTHENTICATION=mtls, PEM",
    ...file,
  },
  clientKeyFile: {
    name: "CERT_SERVICE_CLIENT_KEY_FILE",
    description: "its private key, PEM",
    ...file,
  },
} as const satisfies VariableTable;

type Reading = Pick<
  EnvironmentReader<typeof certServiceVariables>,
  "values" | "warnings" | "isSet" | "isValid" | "reject"
>;

/** Reads how the service is reached; rejects variables that contradict each other. */
export function certServiceConfig(
  reading: Reading,
  serverName: string,
): ServiceConnection {
  const { address, caFile } = reading.values;
  const isPlain = address.startsWith("http:");
  if (isPlain && reading.isValid("CERT_SERVICE_ADDR")) {
    const { tokenFile, attestation, clientCertificateFile } = certServiceVariables;
    for (const { name } of [tokenFile, attestation, clientCertificateFile]) {
      if (!reading.isSet(name)) continue;
      reading.reject(name, "to be unset with http://, which cannot carry it safely: use https://");
    }
    reading.warnings.push(
      "CERT_SERVICE_ADDR is http://: nothing protects requests and answers",
    );
  }
  const identity = identityConfig(reading);
  return { address, serverName, caFile: isPlain ? undefined : caFile, identity };
}

function identityConfig(reading: Reading): ServiceConnection["identity"] {
  const { tokenFile, attestation, clientCertificateFile, clientKeyFile } = reading.values;
  rejectContradictions(reading);
  if (tokenFile !== undefined) {
    const endpoint = attestation ?? { hostname: hostOf(reading), port: attestationPort };
    return { kind: "attested", attestation: endpoint, tokenFile };
  }
  if (attestation !== undefined) {
    reading.warnings.push("ATTESTATION_ADDR is not used without CERT_SERVICE_TOKEN_FILE");
  }
  return clientCertificateFile !== undefined && clientKeyFile !== undefined
    ? { kind: "files", certificateFile: clientCertificateFile, privateKeyFile: clientKeyFile }
    : undefined;
}

function rejectContradictions(reading: Reading): void {
  const { tokenFile, clientCertificateFile: certificate, clientKeyFile: key } =
    certServiceVariables;
  if (reading.isSet(certificate.name) !== reading.isSet(key.name)) {
    const missing = reading.isSet(key.name) ? certificate : key;
    reading.reject(missing.name, "an absolute path, as the other half of the pair is set");
  }
  const isBoth = reading.isSet(tokenFile.name) && reading.isSet(certificate.name);
  if (isBoth && reading.isValid(tokenFile.name, certificate.name)) {
    reading.reject(
      tokenFile.name,
      `to be unset with ${certificate.name}: keep the token for AUTHENTICATION=kubernetes, ` +
        "or the certificate for AUTHENTICATION=mtls",
    );
  }
}

function hostOf({ values }: Reading): string {
  return parseAddress(values.address.replace(/^https?:\/\//, ""))?.hostname ?? "";
}

/** Only https: a token is sent there. */
function parseAttestationUrl(text: string): Address | undefined {
  const [, rest = ""] = /^https:\/\/([^/]+)\/?$/.exec(text) ?? [];
  const address = parseAddress(rest);
  return address?.port === 0 ? undefined : address;
}
