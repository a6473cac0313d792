import { abbreviate } from "./abbreviation.ts";
import { type Certificate, readFields } from "./certificate.ts";
import { sameOctets } from "./der.ts";
import { BasicConstraintsExtension, X509Certificate } from "./peculiar.ts";

type Verdict = { kind: "verified" } | { kind: "refused"; problem: string };

/**
 * Whether a chain, leaf first, leads to one of the anchors at an instant (RFC 5280, 6.1): names,
 * signatures, CA flags, key usages, path lengths, and each validity give or take `skew`. Policies
 * and name constraints are left to the peers that connect.
 */
export function verifyChain(
  chain: Certificate[],
  anchors: Certificate[],
  at: Temporal.Instant,
  skew: Temporal.Duration = new Temporal.Duration(),
): Promise<Verdict> {
  return verifyPath(chain, anchors, { at, skew, leafFirst: true });
}

/** The same for the CA certificates alone, as if a leaf of the first one stood before them. */
export function verifyIssuers(
  chain: Certificate[],
  anchors: Certificate[],
  at: Temporal.Instant,
): Promise<Verdict> {
  return verifyPath(chain, anchors, { at, skew: new Temporal.Duration(), leafFirst: false });
}

interface PathOptions {
  readonly at: Temporal.Instant;
  readonly skew: Temporal.Duration;
  readonly leafFirst: boolean;
}

async function verifyPath(
  chain: Certificate[],
  anchors: Certificate[],
  options: PathOptions,
): Promise<Verdict> {
  let intermediates = 0;
  let anchorProblem: string | undefined;
  for (const [index, subject] of chain.entries()) {
    const problem = ownProblem(subject, options);
    if (problem) return refused(problem);
    if ((index > 0 || !options.leafFirst) && !isSelfIssued(subject)) intermediates++;
    for (const anchor of anchors) {
      if (!namesIssuer(subject, anchor)) continue;
      const problem = ownProblem(anchor, options) ??
        await linkProblem(subject, anchor, intermediates);
      if (problem === undefined) return { kind: "verified" };
      anchorProblem = problem;
    }
    const next = chain[index + 1];
    if (next === undefined) {
      return refused(
        anchorProblem ?? `no trust anchor bears the name of the issuer of ${show(subject)}, ` +
            `"${abbreviate(subject.issuer)}"`,
      );
    }
    const linked = await linkProblem(subject, next, intermediates);
    if (linked) return refused(linked);
  }
  return refused("the chain is empty; expected a leaf certificate first");
}

/** Why a certificate cannot stand in any chain now. */
function ownProblem(certificate: Certificate, { at, skew }: PathOptions): string | undefined {
  const { notBefore, notAfter } = certificate;
  if (Temporal.Instant.compare(at.add(skew), notBefore) < 0) {
    return `${show(certificate)} is not valid before ${notBefore}, and it is ${at}`;
  }
  if (Temporal.Instant.compare(at.subtract(skew), notAfter) > 0) {
    return `${show(certificate)} expired at ${notAfter}, and it is ${at}`;
  }
  const unknown = new X509Certificate(new Uint8Array(certificate.der)).extensions
    .find((extension) => extension.critical && !understood.has(extension.type));
  if (unknown) {
    return `${show(certificate)} has the critical extension ${unknown.type}, which is unknown here`;
  }
}

/** Critical extensions that are looked at here, or that bind none but the peers that connect. */
const understood = new Set([
  "2.5.29.14", // subjectKeyIdentifier
  "2.5.29.15", // keyUsage
  "2.5.29.17", // subjectAltName
  "2.5.29.19", // basicConstraints
  "2.5.29.30", // nameConstraints
  "2.5.29.32", // certificatePolicies
  "2.5.29.35", // authorityKeyIdentifier
  "2.5.29.37", // extKeyUsage
]);

/** Why `issuer` did not issue `subject`; `intermediates` count below it, the leaf left out. */
async function linkProblem(
  subject: Certificate,
  issuer: Certificate,
  intermediates: number,
): Promise<string | undefined> {
  if (!namesIssuer(subject, issuer)) {
    return `${show(subject)} was issued by "${abbreviate(subject.issuer)}", but what follows it ` +
      `in the chain is ${show(issuer)}`;
  }
  if (!issuer.isCa) return `${show(issuer)} is not a CA (basicConstraints), yet it issued`;
  if (issuer.keyUsage && !issuer.keyUsage.includes("keyCertSign")) {
    return `${show(issuer)} may not sign certificates: its keyUsage lacks keyCertSign`;
  }
  const longest = pathLength(issuer);
  if (longest !== undefined && intermediates > longest) {
    return `${show(issuer)} allows ${longest} intermediates below it (pathLenConstraint), and ` +
      `there are ${intermediates}`;
  }
  if (!await isSignedBy(subject, issuer)) {
    return `the signature of ${show(subject)} is not by the key of ${show(issuer)}`;
  }
}

function pathLength(certificate: Certificate): number | undefined {
  return new X509Certificate(new Uint8Array(certificate.der))
    .getExtension(BasicConstraintsExtension)?.pathLength;
}

/** Whether the issuer's name is, octet by octet, the name of this possible issuer. */
export function namesIssuer(certificate: Certificate, issuer: Certificate): boolean {
  const [fields, issuerFields] = [readFields(certificate.der), readFields(issuer.der)];
  return !!fields && !!issuerFields && sameOctets(fields.issuer, issuerFields.subject);
}

function isSelfIssued(certificate: Certificate): boolean {
  return namesIssuer(certificate, certificate);
}

/** Whether the signature is by the issuer's key, with a hash better than SHA-1. */
export async function isSignedBy(certificate: Certificate, issuer: Certificate): Promise<boolean> {
  try {
    const signed = new X509Certificate(new Uint8Array(certificate.der));
    const { hash } = signed.signatureAlgorithm as { hash?: { name: string } };
    if (hash?.name === "SHA-1") return false;
    return await signed.verify({ publicKey: new Uint8Array(issuer.spki), signatureOnly: true });
  } catch {
    return false;
  }
}

/** Whether a certificate is signed by its own key, as roots are. */
export async function isSelfSigned(certificate: Certificate): Promise<boolean> {
  return isSelfIssued(certificate) && await isSignedBy(certificate, certificate);
}

function show(certificate: Certificate): string {
  return `the certificate "${abbreviate(certificate.subject)}"`;
}

function refused(problem: string): Verdict {
  return { kind: "refused", problem };
}
