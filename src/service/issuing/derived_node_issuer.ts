import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { nodeUri } from "../access/node_identity.ts";
import type { IssueNodeCertificate, NodeCertificateOutcome } from "../attestation/node_issuer.ts";
import type { NodeCas } from "../ca/node_cas.ts";
import { randomSerialNumber } from "../x509/leaf_certificate.ts";
import { nodeCertificateLifetime, signNodeCertificate } from "../x509/node_certificate.ts";
import { backdateMs, wholeSeconds } from "./certificate_times.ts";

export interface DerivedNodeIssuerOptions {
  readonly nodeCas: NodeCas;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly engine: SignatureEngine;
}

/** The times of the certificates that the derived node CA issues. */
export const derivedCertificateTimes = {
  backdating: maxClockSkew,
  longestLifetime: nodeCertificateLifetime,
};

const lifetimeMs = nodeCertificateLifetime.total("milliseconds");
/** A certificate that expires sooner is of no use. */
const shortestMs = 10_000;

/** Returns the function that issues with the node CA that is derived from the CA's key. */
export function derivedNodeIssuer(options: DerivedNodeIssuerOptions): IssueNodeCertificate {
  const { trustDomain, clock } = options;
  return async ({ node, podUid, spki, notAfter }) => {
    const uri = nodeUri(trustDomain, node);
    if (uri === undefined) return unavailable("the node's name cannot be in a certificate");
    const nowMs = clock.now().epochMilliseconds;
    const endMs = Math.min(nowMs + lifetimeMs, notAfter.epochMilliseconds);
    if (endMs - nowMs < shortestMs) return unavailable("the token is about to expire");
    return await issueDerived(options, { spki, uri, holder: podUid, endMs });
  };
}

/** Issues a client certificate that is valid until `endMs`, with the node CA that issues now. */
export async function issueDerived(
  { nodeCas, clock, engine }: Omit<DerivedNodeIssuerOptions, "trustDomain">,
  { spki, uri, holder, endMs }: {
    readonly spki: Uint8Array;
    readonly uri: string;
    readonly holder: string;
    readonly endMs: number;
  },
): Promise<NodeCertificateOutcome> {
  const { issuing } = nodeCas;
  if (issuing === undefined) return unavailable("there is no node CA yet: the CA is not loaded");
  const notBefore = wholeSeconds(clock.now().epochMilliseconds - backdateMs);
  const notAfter = wholeSeconds(endMs);
  const serialNumber = randomSerialNumber();
  const template = { spki, uri, holder, serialNumber, notBefore, notAfter };
  const leaf = await signNodeCertificate(issuing, template, engine);
  // The CA's key can have been reported as compromised while this one was signed.
  if (!nodeCas.certificates.includes(issuing.certificate)) {
    return unavailable("the node CA has changed");
  }
  return { kind: "issued", chain: [leaf], serialNumber, notAfter };
}

function unavailable(reason: string): NodeCertificateOutcome {
  return { kind: "unavailable", reason };
}
