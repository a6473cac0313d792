import { helpPage } from "../../shared/config/help_page.ts";
import { serviceVariables } from "./variables.ts";

/** What the table of variables does not hold. */
const notes = [
  "list, get and revoke call the service at ADMIN_SOCKET, or /run/cert-service/admin.sock where that",
  "is unset. Exit codes: 0 done, 1 failed (check-policy: nothing is granted), 2 not understood.",
  "The Kubernetes API is used unless the CA is in files and AUTHENTICATION is mtls or none: in a",
  "pod with its service account's token, elsewhere by the kubeconfig that KUBECONFIG names.",
];

/** What `cert-service --help` prints. */
export function serviceHelp(version: string): string {
  return helpPage(
    `cert-service ${version}: the cluster's CA for pods, called by csi-driver`,
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
      [
        "cert-service list",
        "print the certificates that a running service knows, with these options:",
      ],
      ["  -n, --namespace NAME", "only of pods in this namespace"],
      ["  --pod NAME|UID", "only of this pod"],
      ["  --node NAME", "only of pods on this node"],
      ["  -o, --output FORMAT", "table, or json for one object a line [table]"],
      ["cert-service get SERIAL", "print one certificate; -o as for list"],
      ["cert-service revoke", "no further certificate for a pod, or reject those of a node:"],
      ["  --pod-uid UID | --serial N", "the pod with this uid, or that holds this certificate"],
      ["  --node NAME", "the client certificates that this node's driver has now"],
      ["  --reason TEXT", "for the audit log, at most 256 characters"],
      ["cert-service --help", "print this text"],
      ["cert-service --version", "print the version"],
    ],
    serviceVariables,
    notes,
  );
}
