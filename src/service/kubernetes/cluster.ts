import type { Clock } from "../../shared/scheduler/clock.ts";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import { readApiCredentials } from "./api_credentials.ts";
import { ApiClient } from "./api_client.ts";
import { caSecretSource } from "./ca_secret.ts";
import { ConfigMapDocument } from "./config_map_document.ts";
import { apiServerDriverPods } from "./driver_pods.ts";
import { apiServerPodDirectory } from "./pod_directory.ts";
import { apiServerKeySet } from "./token_keys.ts";
import { apiServerTokenReviewer } from "./token_review.ts";

/** The parts of the cluster that the service uses. */
export type Cluster = ReturnType<typeof openCluster>;

/** Finds the cluster in the environment of a pod, or by KUBECONFIG; throws when there is none. */
export function openCluster(
  environment: Readonly<Record<string, string | undefined>>,
  { clock }: { readonly clock: Clock },
) {
  const credentials = readApiCredentials(environment);
  const client = new ApiClient(credentials, { clock });
  return {
    /** The CAs of the API server, PEM. */
    caPem: () => credentials.caPem(),
    pods: apiServerPodDirectory(client),
    caSecret: (secret: NamespacedName) => caSecretSource(client, secret, { clock }),
    document: (configMap: NamespacedName): SharedDocument =>
      new ConfigMapDocument(client, configMap, { clock }),
    /** For the attestation of nodes. */
    tokenKeys: apiServerKeySet(client),
    tokenReviewer: apiServerTokenReviewer(client),
    driverPods: (account: NamespacedName) => apiServerDriverPods(client, account),
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}
