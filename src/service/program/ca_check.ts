import type { Clock } from "../../shared/scheduler/clock.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { readCertificates } from "../../shared/x509/certificate.ts";
import type { ClientCas } from "../access/client_cas.ts";
import type { CaCheck } from "../ca/loaded_ca.ts";
import type { Cluster } from "../kubernetes/cluster.ts";
import { namesRejectionReason } from "../x509/ca_names.ts";
import { clusterCaRejectionReason } from "../x509/cluster_ca.ts";
import type { ServiceConfig } from "./config.ts";

interface CaCheckParts {
  readonly clock: Clock;
  readonly cluster: Pick<Cluster, "caPem"> | undefined;
  readonly clients: ClientCas | undefined;
}

/** What a CA that can sign has to satisfy in this installation, before it signs for pods. */
export function composeCaCheck(
  config: Pick<ServiceConfig, "servingName" | "clusterDomain">,
  { clock, cluster, clients }: CaCheckParts,
): CaCheck {
  return async (candidate) => {
    const names = namesRejectionReason(candidate, config);
    if (names !== undefined) return names;
    if (cluster !== undefined) {
      const cas = await readClusterCas(cluster);
      if (typeof cas === "string") return cas;
      const own = await clusterCaRejectionReason(candidate, cas, clock.now());
      if (own !== undefined) return own;
    }
    return await clients?.rejectionReason(candidate);
  };
}

async function readClusterCas(cluster: Pick<Cluster, "caPem">) {
  try {
    return readCertificates(await cluster.caPem()) ??
      "the cluster's CA contains a broken certificate";
  } catch (error) {
    return `it cannot be compared with the cluster's own CA: ${errorMessage(error)}`;
  }
}
