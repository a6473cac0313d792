import { decodePem } from "../../shared/crypto/pem.ts";
import type { Certificate } from "../../shared/x509/certificate.ts";
import { verifyIssuerChain } from "../../shared/x509/chain.ts";
import { describeOtherEncoding } from "../x509/ca_text.ts";
import { type Issuer, loadIssuer } from "../x509/issuer.ts";
import { deriveNodeCa, type NodeCa } from "../x509/node_ca.ts";
import type { CaCertificates } from "../x509/related_ca.ts";
import type { CaSourceContent } from "./ca_source.ts";
import type { SourceVersion } from "./rotation_record.ts";
import { computeFingerprint } from "../../shared/x509/fingerprint.ts";
import type { CaReference } from "./trust_state.ts";
import { keyFingerprint } from "./untrusted_roots.ts";

/** A CA that can sign, as its source holds it. */
export interface LoadedCa {
  readonly issuer: Issuer;
  /** Over its certificate, the intermediates above it and its roots. */
  readonly fingerprint: string;
  /** The roots that it leads to. */
  readonly anchors: readonly Certificate[];
  /** Roots that are trusted in addition. */
  readonly furtherAnchors: readonly Certificate[];
  /** The previous CA must not be trusted any more, at once. */
  readonly compromised: boolean;
  /** The version of the object that contains it; undefined for files. */
  readonly source?: SourceVersion | undefined;
  /** The CA before it, where the source contains that one too. */
  readonly former?: LoadedCa | undefined;
  readonly warnings: readonly string[];
  /** The CA of nodes' certificates that belongs to the same key; undefined where there is none. */
  readonly nodeCa?: NodeCa | undefined;
}

/** Why a CA that can sign must not sign for pods; undefined when it may. */
export type CaCheck = (certificates: CaCertificates) => Promise<string | undefined>;

/** Loads the CA of a source; its roots may be in the certificate's PEM or in the further anchors. */
export async function loadCa(
  content: CaSourceContent,
  at: Temporal.Instant,
  check: CaCheck = () => Promise.resolve(undefined),
  /** The name in the URIs of node certificates; undefined where none are issued. */
  trustDomain?: string,
): Promise<{ kind: "loaded"; ca: LoadedCa } | { kind: "refused"; problem: string }> {
  const further = furtherAnchorsProblem(content.furtherAnchorsPem);
  if (further !== undefined) return { kind: "refused", problem: `ca.crt: ${further}` };
  const pem = [content.certificatePem, content.furtherAnchorsPem ?? ""].join("\n");
  const loaded = await loadIssuer(pem, content.privateKeyPem, at);
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
  const { compromised, source } = content;
  const nodeCa = await loadNodeCa(content, trustDomain);
  return {
    kind: "loaded",
    ca: { issuer, warnings, fingerprint, anchors, furtherAnchors, compromised, source, nodeCa },
  };
}

/** The CA as the shared state names it. */
export function referenceTo(ca: LoadedCa): CaReference {
  return {
    fingerprint: ca.fingerprint,
    certificateFingerprint: computeFingerprint([ca.issuer.certificate]),
    keyFingerprint: keyFingerprint(ca.issuer.certificate),
    anchors: rootsOf(ca),
  };
}

/** The fingerprints of the roots that it leads to. */
export function rootsOf({ anchors }: LoadedCa): string[] {
  return anchors.map((certificate) => computeFingerprint([certificate]));
}

/** Derives the node CA while the key's PEM is available: the CA's key need not be exported later. */
async function loadNodeCa(
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

/** Why nothing of a text that is not empty would be trusted: it is not PEM. */
function furtherAnchorsProblem(pem: string | undefined): string | undefined {
  if (pem === undefined || decodePem("CERTIFICATE", pem).length > 0) return undefined;
  return describeOtherEncoding(pem, "ca.crt");
}
