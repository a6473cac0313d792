import { isIPv6 } from "node:net";
import { join } from "node:path";
import { kubeconfigAccess, readToken } from "./kubeconfig.ts";

/** Where the API server is and who we are to it. Files are read at each use: they rotate. */
export interface ApiAccess {
  /** "https://host:port". */
  readonly server: string;
  /** The CAs that the server's certificate is held against, PEM, beside those that Deno knows anyway. */
  readonly authorityPem: () => Promise<string | undefined>;
  readonly token: () => Promise<string | undefined>;
  /** The client's certificate and key, PEM. */
  readonly identity: () => Promise<{ certificatePem: string; privateKeyPem: string } | undefined>;
}

/** Where Kubernetes puts a pod's own token, and the CA of the API server. */
const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * From the environment: the kubeconfig that KUBECONFIG names, else the pod's own service account.
 * Throws an Error that says what is missing or not supported.
 */
export function apiAccess(
  environment: Readonly<Record<string, string | undefined>>,
  folder = serviceAccountFolder,
): ApiAccess {
  const { KUBECONFIG, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (KUBECONFIG) return kubeconfigAccess(KUBECONFIG);
  if (!host || !port) {
    throw new Error(
      "there is no way to the API server: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are " +
        "set in a pod, and KUBECONFIG names a kubeconfig file elsewhere",
    );
  }
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    authorityPem: () => Deno.readTextFile(join(folder, "ca.crt")),
    token: () => readToken(join(folder, "token")),
    identity: () => Promise.resolve(undefined),
  };
}
