import type { Authenticator } from "../access/authenticator.ts";
import type { CaSource } from "../ca/ca_source.ts";
import type { PodDirectory } from "../access/pod_directory.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import { readApiCredentials } from "./api_credentials.ts";
import { ApiClient, type ApiClientOptions } from "./api_client.ts";
import { CaSecretSource } from "./ca_secret.ts";
import { ConfigMapDocument } from "./config_map_document.ts";
import type { ObjectName } from "./permissions.ts";
import { KubernetesPodDirectory } from "./pod_directory.ts";
import { TokenAuthenticator } from "./token_authenticator.ts";

/** All that the service has of a cluster, behind the authority's ports. */
export interface Cluster extends Disposable {
  readonly pods: PodDirectory;
  /** Believes tokens; the driver's speak for nodes. */
  authenticator(driver: ObjectName): Authenticator;
  caSecret(secret: ObjectName): CaSource;
  document(configMap: ObjectName): SharedDocument;
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
    authenticator: (driver) => new TokenAuthenticator({ connection, clock, driver }),
    caSecret: (secret) => new CaSecretSource(connection, secret, { clock }),
    document: (configMap) => new ConfigMapDocument(connection, configMap, { clock }),
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}
