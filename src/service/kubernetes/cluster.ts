import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import type { DriverPodDirectory } from "../access/driver_pod_check.ts";
import type { DriverPods, TokenReviewer } from "../attestation/attestor.ts";
import type { KeySetSource } from "../attestation/key_set_cache.ts";
import type { CaSource } from "../ca/ca_source.ts";
import type { PodDirectory } from "../access/pod_directory.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import { readApiCredentials } from "./api_credentials.ts";
import { ApiClient, type ApiClientOptions } from "./api_client.ts";
import { CaSecretSource } from "./ca_secret.ts";
import { ConfigMapDocument } from "./config_map_document.ts";
import { ApiServerDriverPods } from "./driver_pods.ts";
import { KubernetesPodDirectory } from "./pod_directory.ts";
import { ApiServerKeySet } from "./token_keys.ts";
import { ApiServerTokenReviewer } from "./token_review.ts";

/** All that the service has of a cluster, behind the ports of the service. */
export interface Cluster extends Disposable {
  readonly pods: PodDirectory;
  caSecret(secret: NamespacedName): CaSource;
  document(configMap: NamespacedName): SharedDocument;
  /** What the attestation of nodes asks the cluster. */
  attestation(driver: NamespacedName): {
    readonly keys: KeySetSource;
    readonly reviewer: TokenReviewer;
    readonly pods: DriverPods & DriverPodDirectory;
  };
}

/** Finds the cluster by the environment of a pod, or KUBECONFIG; throws when there is none. */
export function openCluster(
  environment: Readonly<Record<string, string | undefined>>,
  options: ApiClientOptions,
): Cluster {
  const connection = new ApiClient(readApiCredentials(environment), options);
  const { clock } = options;
  return {
    pods: new KubernetesPodDirectory(connection),
    caSecret: (secret) => new CaSecretSource(connection, secret, { clock }),
    document: (configMap) => new ConfigMapDocument(connection, configMap, { clock }),
    attestation: (driver) => ({
      keys: new ApiServerKeySet(connection),
      reviewer: new ApiServerTokenReviewer(connection),
      pods: new ApiServerDriverPods(connection, driver),
    }),
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}
