import { driverVariables } from "./driver.ts";
import type { VariableTable } from "./environment.ts";
import { serviceVariables } from "./service.ts";

const width = 100;

/** What `csi-driver --help` prints. */
export function driverHelp(version: string): string {
  return page(`csi-driver ${version}: certificates for pods, on inline CSI volumes of this node`, [
    ["csi-driver", "serve CSI to the kubelet until SIGTERM or SIGINT"],
    ["csi-driver status", "print the state of this node's volumes"],
    ["csi-driver --help", "print this text"],
    ["csi-driver --version", "print the version"],
  ], driverVariables);
}

/** Read by the client of the cluster, which the table of our own variables does not hold. */
const clusterNote = [
  "The Kubernetes API is asked unless the CA is in files and AUTHENTICATION is mtls or none: in a",
  "pod with its service account's token, elsewhere by the kubeconfig that KUBECONFIG names.",
];

/** What `cert-service --help` prints. */
export function serviceHelp(version: string): string {
  return page(
    `cert-service ${version}: the cluster's CA for pods, asked by csi-driver`,
    [
      ["cert-service", "serve until SIGTERM or SIGINT"],
      ["cert-service init-ca", "make a new CA, with these options:"],
      ["  --key ALGORITHM", "ecdsa-p256, ecdsa-p384, rsa-2048 or rsa-4096 [ecdsa-p256]"],
      ["  --days N", "how long the CA lasts, 1 to 36500 [3650]"],
      ["  --subject CN", "the CA's common name [csi-cert-driver CA]"],
      ["  --out DIR | --kubernetes", "to files in DIR, or as YAML for kubectl apply -f -"],
      ["cert-service check-policy FILE", "print what a policy file gives a pod, and which rule:"],
      ["  --pod NAMESPACE/NAME", "the pod"],
      ["  --service-account NAME", "its service account [default]"],
      ["  --attribute KEY=VALUE", "one of its volume's attributes; may be repeated"],
      ["cert-service --help", "print this text"],
      ["cert-service --version", "print the version"],
    ],
    serviceVariables,
    clusterNote,
  );
}

function page(
  title: string,
  usage: [string, string][],
  table: VariableTable,
  notes: readonly string[] = [],
): string {
  const variables = Object.values(table).map((variable): [string, string] => {
    const fallback = variable.otherwise ?? variable.default;
    return [variable.name, variable.meaning + (fallback === undefined ? "" : ` [${fallback}]`)];
  });
  return [
    title,
    "",
    "Usage:",
    ...columns(usage),
    "",
    "Environment (an empty variable counts as unset; defaults in brackets):",
    ...columns(variables),
    "",
    'Durations are written as in Go: "90s", "1h30m", "168h".',
    ...notes,
    "",
  ].join("\n");
}

/** Two aligned columns; the second goes on below itself where the line would be too long. */
function columns(rows: [string, string][]): string[] {
  const first = Math.max(...rows.map(([left]) => left.length));
  return rows.flatMap(([left, right]) =>
    wrap(right, width - first - 4).map((line, index) =>
      `  ${(index === 0 ? left : "").padEnd(first)}  ${line}`
    )
  );
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
