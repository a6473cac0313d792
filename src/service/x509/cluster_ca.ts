import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { type Certificate, describeCertificate } from "../../shared/x509/certificate.ts";
import { verifyIssuerChain } from "../../shared/x509/chain.ts";

/**
 * Why a CA may not sign for pods, because it is a CA of the cluster itself, or below one: its API server would accept a
 * pod's certificate, with the pod's name as the user's. Undefined when it may.
 */
export async function clusterCaRejectionReason(
  { chain, roots }: {
    readonly chain: readonly Certificate[];
    readonly roots: readonly Certificate[];
  },
  clusterCas: readonly Certificate[],
  at: Temporal.Instant,
): Promise<string | undefined> {
  for (const clusterCa of clusterCas) {
    const shown = describeCertificate(clusterCa);
    const consequence =
      "the API server would accept a pod's certificate as that of a user with the " +
      "pod's name; give a CA of its own";
    if ([...chain, ...roots].some(({ spki }) => equalBytes(spki, clusterCa.spki))) {
      return `it has the key of ${shown}, a CA of the cluster itself: ${consequence}`;
    }
    const leads = chain.length > 0 &&
      (await verifyIssuerChain([...chain], [clusterCa], at)).kind === "verified";
    if (leads) return `it is below ${shown}, a CA of the cluster itself: ${consequence}`;
  }
  return undefined;
}
