import type { Clock } from "../../shared/scheduler/clock.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { readCertificates } from "../../shared/x509/certificate.ts";
import type { ClientCas } from "../access/client_cas.ts";
import type { CaCheck } from "../ca/loaded_ca.ts";
import { namesRejectionReason, type NecessaryNames } from "../x509/ca_names.ts";
import { clusterCaRejectionReason } from "../x509/related_ca.ts";

/** Reads the CAs of the API server, PEM. */
interface ClusterCaSource {
  caPem(): Promise<string>;
}

interface CaCheckParts {
  readonly clock: Clock;
  readonly cluster: ClusterCaSource | undefined;
  readonly clients: ClientCas | undefined;
}

/** What a CA that can sign has to satisfy in this installation, before it signs for pods. */
export function composeCaCheck(
  names: NecessaryNames,
  { clock, cluster, clients }: CaCheckParts,
): CaCheck {
  return async (candidate) => {
    const outside = namesRejectionReason(candidate, names);
    if (outside !== undefined) return outside;
    if (cluster !== undefined) {
      const cas = await readClusterCas(cluster);
      if (typeof cas === "string") return cas;
      const own = await clusterCaRejectionReason(candidate, cas, clock.now());
      if (own !== undefined) return own;
    }
    return await clients?.rejectionReason(candidate);
  };
}

async function readClusterCas(cluster: ClusterCaSource) {
  try {
    return readCertificates(await cluster.caPem()) ??
      "the cluster's CA contains a broken certificate";
  } catch (error) {
    return `it cannot be compared with the cluster's own CA: ${errorMessage(error)}`;
  }
}
