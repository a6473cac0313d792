import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { type Certificate, describeCertificate } from "../../shared/x509/certificate.ts";
import { verifyIssuerChain } from "../../shared/x509/chain.ts";

/** The certificates of a CA that signs for pods. */
export interface CaCertificates {
  /** Its own, and the intermediates above it. */
  readonly chain: readonly Certificate[];
  readonly roots: readonly Certificate[];
}

/** A CA whose verifiers would accept what another one signs. */
export interface RelatedCa {
  readonly certificate: Certificate;
  /** It has the key of the other one, or of a CA above that; otherwise it is itself above it. */
  readonly hasSameKey: boolean;
}

/** Returns the first of the given CAs whose verifiers would accept what this CA signs. */
export async function findRelatedCa(
  { chain, roots }: CaCertificates,
  given: readonly Certificate[],
  at: Temporal.Instant,
): Promise<RelatedCa | undefined> {
  for (const certificate of given) {
    if ([...chain, ...roots].some(({ spki }) => equalBytes(spki, certificate.spki))) {
      return { certificate, hasSameKey: true };
    }
    const verdict = await verifyIssuerChain([...chain], [certificate], at);
    if (verdict.kind === "verified") return { certificate, hasSameKey: false };
  }
  return undefined;
}

/**
 * Why a CA may not sign for pods, because it is a CA of the cluster itself, or below one: its API server would accept a
 * pod's certificate, with the pod's name as the user's. Undefined when it may.
 */
export async function clusterCaRejectionReason(
  ca: CaCertificates,
  clusterCas: readonly Certificate[],
  at: Temporal.Instant,
): Promise<string | undefined> {
  const related = await findRelatedCa(ca, clusterCas, at);
  if (related === undefined) return undefined;
  const shown = describeCertificate(related.certificate);
  const relation = related.hasSameKey ? `it has the key of ${shown}` : `it is below ${shown}`;
  return `${relation}, a CA of the cluster itself: the API server would accept a pod's certificate ` +
    "as that of a user with the pod's name; give a CA of its own";
}
