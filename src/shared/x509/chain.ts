import { abbreviate } from "../text/printable_text.ts";
import { type Certificate, describeCertificate, readCertificateFields } from "./certificate.ts";
import { equalBytes } from "../crypto/der_reader.ts";
import { extensionTypes } from "./extensions.ts";
import type { SignatureEngine } from "../crypto/signature_engine.ts";
import { readSignatureScheme, type SignatureScheme } from "../crypto/signature_scheme.ts";
import { webCryptoEngine } from "../crypto/web_crypto_engine.ts";

type Verdict = { kind: "verified" } | { kind: "refused"; problem: string };

/**
 * Whether a chain, leaf first, leads to one of the anchors at an instant (RFC 5280, 6.1): names,
 * signatures, CA flags, key usages, path lengths, and each validity give or take `skew`. Policies
 * and name constraints are verified by the peers that connect.
 */
export function verifyChain(
  chain: Certificate[],
  anchors: Certificate[],
  at: Temporal.Instant,
  skew: Temporal.Duration = new Temporal.Duration(),
  engine: SignatureEngine = webCryptoEngine,
): Promise<Verdict> {
  return verifyPath(chain, anchors, { at, skew, leafFirst: true, engine });
}

/** The same for the CA certificates alone, as if a leaf of the first one stood before them. */
export function verifyIssuerChain(
  chain: Certificate[],
  anchors: Certificate[],
  at: Temporal.Instant,
): Promise<Verdict> {
  const options = { at, skew: new Temporal.Duration(), engine: webCryptoEngine };
  return verifyPath(chain, anchors, { ...options, leafFirst: false });
}

interface PathOptions {
  readonly at: Temporal.Instant;
  readonly skew: Temporal.Duration;
  readonly leafFirst: boolean;
  readonly engine: SignatureEngine;
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
      if (!hasIssuerName(subject, anchor)) continue;
      const problem = ownProblem(anchor, options) ??
        await linkProblem(subject, anchor, intermediates, options.engine);
      if (problem === undefined) return { kind: "verified" };
      anchorProblem = problem;
    }
    const next = chain[index + 1];
    if (next === undefined) {
      return refused(
        anchorProblem ??
          `no trust anchor bears the name of the issuer of ${describeCertificate(subject)}, ` +
            `"${abbreviate(subject.issuer)}"`,
      );
    }
    const linked = await linkProblem(subject, next, intermediates, options.engine);
    if (linked) return refused(linked);
  }
  return refused("the chain is empty; expected a leaf certificate first");
}

/** Why a certificate cannot be part of any chain now. */
function ownProblem(certificate: Certificate, { at, skew }: PathOptions): string | undefined {
  const { notBefore, notAfter } = certificate;
  const shown = describeCertificate(certificate);
  if (Temporal.Instant.compare(at.add(skew), notBefore) < 0) {
    return `${shown} is not valid before ${notBefore}, and it is ${at}`;
  }
  if (Temporal.Instant.compare(at.subtract(skew), notAfter) > 0) {
    return `${shown} expired at ${notAfter}, and it is ${at}`;
  }
  const type = unknownCriticalExtension(certificate);
  if (type !== undefined) return `${shown} has the critical extension ${type}, unknown here`;
}

/** The type of a critical extension that makes a certificate unusable, because its meaning is not known. */
export function unknownCriticalExtension(certificate: Certificate): string | undefined {
  const [type] = [...certificate.extensions]
    .find(([type, { critical }]) => critical && !understood.has(type)) ?? [];
  return type;
}

/** Critical extensions that are verified here, or that only the peers that connect have to verify. */
const understood = new Set<string>(Object.values(extensionTypes));

/** Why `issuer` did not issue `subject`; `intermediates` is how many are below it, without the leaf. */
async function linkProblem(
  subject: Certificate,
  issuer: Certificate,
  intermediates: number,
  engine: SignatureEngine,
): Promise<string | undefined> {
  const shown = describeCertificate(subject);
  const shownIssuer = describeCertificate(issuer);
  if (!hasIssuerName(subject, issuer)) {
    return `${shown} was issued by "${abbreviate(subject.issuer)}", but ${shownIssuer} follows it`;
  }
  if (!issuer.isCa) {
    return `${shownIssuer} is not a CA certificate (basicConstraints), yet ${shown} names it`;
  }
  if (issuer.keyUsage && !issuer.keyUsage.includes("keyCertSign")) {
    return `${shownIssuer} may not sign certificates: its keyUsage lacks keyCertSign`;
  }
  const { pathLength: longest } = issuer;
  if (longest !== undefined && intermediates > longest) {
    return `${shownIssuer} allows ${longest} CAs below it (pathLenConstraint), not ${intermediates}`;
  }
  if (!await isSignedBy(subject, issuer, engine)) {
    return `the signature of ${shown} is not by the key of ${shownIssuer}`;
  }
  if (schemeOf(subject)?.hash === "SHA-1") {
    return `${shown} is signed with SHA-1; issue it again with SHA-256 or better`;
  }
}

/** Whether the issuer's name is, byte by byte, the name of this possible issuer. */
export function hasIssuerName(certificate: Certificate, issuer: Certificate): boolean {
  const [fields, issuerFields] = [
    readCertificateFields(certificate.der),
    readCertificateFields(issuer.der),
  ];
  return !!fields && !!issuerFields && equalBytes(fields.issuer, issuerFields.subject);
}

function isSelfIssued(certificate: Certificate): boolean {
  return hasIssuerName(certificate, certificate);
}

/** Whether the signature is by the issuer's key, with any hash. */
export async function isSignedBy(
  certificate: Certificate,
  issuer: Certificate,
  engine: SignatureEngine = webCryptoEngine,
): Promise<boolean> {
  const fields = readCertificateFields(certificate.der);
  const scheme = schemeOf(certificate);
  if (fields === undefined || scheme === undefined) return false;
  const { signature, signed: bytes } = fields;
  return await engine.verify({ spki: issuer.spki, scheme, signature, bytes });
}

function schemeOf(certificate: Certificate): SignatureScheme | undefined {
  const fields = readCertificateFields(certificate.der);
  return fields && readSignatureScheme(fields.algorithm);
}

/** Whether the algorithm of a certificate's signature is one that can be verified. */
export function hasKnownSignature(certificate: Certificate): boolean {
  return schemeOf(certificate) !== undefined;
}

/** Whether a certificate is signed by its own key, as roots are. */
export async function isSelfSigned(certificate: Certificate): Promise<boolean> {
  return isSelfIssued(certificate) && await isSignedBy(certificate, certificate);
}

function refused(problem: string): Verdict {
  return { kind: "refused", problem };
}
