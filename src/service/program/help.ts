import { helpPage } from "../../shared/config/help_page.ts";
import { caKeyAlgorithms } from "../../shared/crypto/key_algorithm.ts";
import { defaultCa, maxCaDays } from "../admin/init_ca.ts";
import { usualAdminSocket } from "./admin_socket.ts";
import { serviceVariables } from "./variables.ts";

const notes = [
  "list, nodes, get and revoke connect to ADMIN_SOCKET, or where that is unset to",
  `${usualAdminSocket}. Exit codes: 0 success, 1 failure (check-policy: the pod gets`,
  "no certificate; check-ca: the service would not sign), 2 wrong command line or configuration.",
  "The service uses the Kubernetes API unless the CA is in files and AUTHENTICATION is mtls or none.",
  "In a pod it uses the pod's service account token, elsewhere the kubeconfig that KUBECONFIG names.",
];

/** The text of `cert-service --help`. */
export function serviceHelp(version: string): string {
  return helpPage(
    `cert-service ${version}: the cluster's CA for pods, called by csi-driver`,
    [
      ["cert-service", "serve until SIGTERM or SIGINT"],
      ["cert-service init-ca", "make a new CA:"],
      ["  --key ALGORITHM", `${caKeyAlgorithms.join(", ")} [${defaultCa.algorithm}]`],
      ["  --days N", `the CA's lifetime in days, 1 to ${maxCaDays} [${defaultCa.days}]`],
      ["  --subject CN", `the CA's common name [${defaultCa.commonName}]`],
      ["  --out DIR | --kubernetes", "write files to DIR, or print YAML for kubectl apply -f -"],
      [
        "  --rotate FILE",
        "or print the CA's Secret, which FILE contains (- is standard input), with a new CA and " +
        "the present one as the former CA",
      ],
      [
        "cert-service check-ca FILE...",
        "say whether the service would sign with a CA, and why not:",
      ],
      [
        "  FILE...",
        "the CA's certificates and key, PEM, or a Secret's manifest; - for standard input",
      ],
      ["  --cluster-ca FILE", "the cluster's own CA, to be compared with"],
      [
        "cert-service check-policy FILE",
        "print what a policy file grants a pod, and which rule; - for standard input:",
      ],
      ["  --pod NAMESPACE/NAME", "the pod"],
      ["  --service-account NAME", "the pod's service account [default]"],
      ["  --attribute KEY=VALUE", "an attribute of the pod's volume; can be repeated"],
      ["  --label KEY=VALUE", "a label of the pod; can be repeated"],
      ["  --annotation KEY=VALUE", "an annotation of the pod; can be repeated"],
      ["cert-service list", "print the certificates that a running service knows:"],
      ["  -n, --namespace NAME", "only of pods in this namespace"],
      ["  --pod NAME|UID", "only of this pod"],
      ["  --node NAME", "only of pods on this node"],
      ["  --all", "also of volumes that are gone, until they expire"],
      ["  -o, --output FORMAT", "table, or json for one object a line [table]"],
      ["cert-service nodes", "print the nodes that report to a running service; -o as for list"],
      ["cert-service get SERIAL", "print one certificate; -o as for list"],
      ["cert-service revoke", "issue no more certificates to a pod, or reject those of a node:"],
      ["  --pod-uid UID | --serial N", "the pod with this uid, or the pod of this certificate"],
      ["  --node NAME", "the client certificates that this node's driver has now"],
      ["  --reason TEXT", "for the audit log, at most 256 characters"],
      ["cert-service --help", "print this text"],
      ["cert-service --version", "print the version"],
    ],
    serviceVariables,
    notes,
  );
}
