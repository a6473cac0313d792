import { helpPage } from "../../shared/config/help_page.ts";
import { serviceVariables } from "./config.ts";

/** Read by the client of the cluster, which the table of our own variables does not hold. */
const clusterNote = [
  "The Kubernetes API is asked unless the CA is in files and AUTHENTICATION is mtls or none: in a",
  "pod with its service account's token, elsewhere by the kubeconfig that KUBECONFIG names.",
];

/** What `cert-service --help` prints. */
export function serviceHelp(version: string): string {
  return helpPage(
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
