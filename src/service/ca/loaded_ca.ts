import type { Certificate } from "../../shared/x509/certificate.ts";
import { verifyIssuerChain } from "../../shared/x509/chain.ts";
import { type Issuer, loadIssuer } from "../x509/issuer.ts";
import { deriveNodeCa, type NodeCa } from "../x509/node_ca.ts";
import type { CaSourceContent } from "./ca_source.ts";
import type { CandidateCa } from "./rotation.ts";
import { computeFingerprint } from "./trust_state.ts";

/** A CA that can sign, as its source holds it. */
export interface LoadedCa extends CandidateCa {
  readonly issuer: Issuer;
  readonly warnings: readonly string[];
  /** The CA of nodes' certificates that belongs to the same key; undefined where there is none. */
  readonly nodeCa?: NodeCa | undefined;
}

/** Why a CA must not sign for pods though it could; undefined when nothing speaks against it. */
export type CaCheck = (
  certificates: { readonly chain: readonly Certificate[]; readonly roots: readonly Certificate[] },
) => Promise<string | undefined>;

/** Reads what a source holds; the roots may be in its certificate's PEM or in the further anchors. */
export async function loadCa(
  secret: CaSourceContent,
  at: Temporal.Instant,
  check: CaCheck = () => Promise.resolve(undefined),
  /** Where node certificates are issued: the name in their URIs. */
  trustDomain?: string,
): Promise<{ kind: "loaded"; ca: LoadedCa } | { kind: "refused"; problem: string }> {
  const pem = [secret.certificatePem, secret.furtherAnchorsPem ?? ""].join("\n");
  const loaded = await loadIssuer(pem, secret.privateKeyPem, at);
  if (loaded.kind === "refused") return loaded;
  const { issuer, warnings } = loaded;
  const anchors: Certificate[] = [];
  const furtherAnchors: Certificate[] = [];
  for (const anchor of loaded.anchors) {
    (await verifiesTo(issuer, anchor, at) ? anchors : furtherAnchors).push(anchor);
  }
  const chain = [issuer.certificate, ...issuer.chain];
  const problem = await check({ chain, roots: anchors });
  if (problem !== undefined) return { kind: "refused", problem };
  const fingerprint = computeFingerprint(distinct([...chain, ...anchors]));
  const { compromised } = secret;
  const nodeCa = await nodeCaOf(secret, trustDomain);
  return {
    kind: "loaded",
    ca: { issuer, warnings, fingerprint, anchors, furtherAnchors, compromised, nodeCa },
  };
}

/** Derived while the key's PEM is available, so that nothing has to extract the CA's key later. */
async function nodeCaOf(
  { privateKeyPem, clusterId }: CaSourceContent,
  trustDomain: string | undefined,
): Promise<NodeCa | undefined> {
  if (trustDomain === undefined || !clusterId) return undefined;
  return await deriveNodeCa(privateKeyPem, { trustDomain, clusterId });
}

async function verifiesTo(issuer: Issuer, anchor: Certificate, at: Temporal.Instant) {
  // A root, or an intermediate that came without one, is its own anchor.
  if (anchor === issuer.certificate) return true;
  if (issuer.chain.length === 0) return false;
  return (await verifyIssuerChain(issuer.chain, [anchor], at)).kind === "verified";
}

function distinct(certificates: readonly Certificate[]): Certificate[] {
  return [...new Set(certificates)];
}
