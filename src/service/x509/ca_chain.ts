import { abbreviate } from "../../shared/text/printable_text.ts";
import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { readPublicKey } from "../../shared/crypto/public_key.ts";
import { type Certificate, describeCertificate } from "../../shared/x509/certificate.ts";
import {
  hasIssuerName,
  hasKnownSignature,
  isSelfSigned,
  isSignedBy,
  verifyIssuerChain,
} from "../../shared/x509/chain.ts";
import { anchorRejectionReason, caRejectionReason, caWarnings } from "./ca_fitness.ts";

/** A CA's certificates in their places. */
export interface Arrangement {
  readonly kind: "arranged";
  /** The certificates after a leaf in its chain: the CA and the intermediates above it; empty for a root. */
  readonly chain: Certificate[];
  /** The roots that the chain leads to. */
  readonly roots: Certificate[];
  /** Those, and further roots. */
  readonly anchors: Certificate[];
  readonly warnings: string[];
}

type Refused = { kind: "refused"; problem: string };

/** Sorts the other certificates into the CA's chain, its roots, further roots, and unrelated ones. */
export async function arrangeChain(
  certificate: Certificate,
  others: readonly Certificate[],
  at: Temporal.Instant,
): Promise<Arrangement | Refused> {
  const own = caRejectionReason(certificate, at);
  if (own !== undefined) return { kind: "refused", problem: own };
  const selfSigned: Certificate[] = [];
  const intermediates: Certificate[] = [];
  for (const other of distinct([certificate, ...others]).slice(1)) {
    (await isRoot(other) ? selfSigned : intermediates).push(other);
  }
  if (await isRoot(certificate)) {
    const roots = [certificate];
    return arranged({ certificate, chain: [], roots, selfSigned, unrelated: intermediates, at });
  }
  const chain = await chainOf(certificate, intermediates, at);
  const unrelated = intermediates.filter((other) => !chain.includes(other));
  const roots: Certificate[] = [];
  for (const root of selfSigned) {
    const isUsable = caRejectionReason(root, at) === undefined;
    if (isUsable && (await verifyIssuerChain(chain, [root], at)).kind === "verified") {
      roots.push(root);
    }
  }
  const upper = chain.slice(1).map((one) => caRejectionReason(one, at)).find(Boolean);
  if (upper !== undefined) {
    return { kind: "refused", problem: `the CA's chain cannot be used: ${upper}` };
  }
  const problem = roots.length > 0
    ? undefined
    : await rootProblem(chain, selfSigned, unrelated, at);
  if (problem !== undefined) {
    return { kind: "refused", problem: `the CA's chain leads to no root in its PEM: ${problem}` };
  }
  return arranged({ certificate, chain, roots, selfSigned, unrelated, at });
}

interface Parts {
  readonly certificate: Certificate;
  readonly chain: Certificate[];
  readonly roots: Certificate[];
  readonly selfSigned: readonly Certificate[];
  readonly unrelated: readonly Certificate[];
  readonly at: Temporal.Instant;
}

function arranged({ certificate, chain, roots, selfSigned, unrelated, at }: Parts): Arrangement {
  const warnings = distinct([certificate, ...chain, ...roots]).flatMap(caWarnings);
  const further: Certificate[] = [];
  for (const root of selfSigned.filter((one) => !roots.includes(one))) {
    const problem = anchorRejectionReason(root, at);
    if (problem === undefined) further.push(root);
    else warnings.push(`a root in the CA's PEM is ignored: ${problem}`);
  }
  for (const other of unrelated) {
    warnings.push(
      `${describeCertificate(other)} in the CA's PEM is ignored: it is not in the CA's chain`,
    );
  }
  const top = chain.at(-1);
  if (top !== undefined && roots.length === 0) {
    warnings.push(
      `${missing(top)}: ${
        describeCertificate(certificate)
      } itself is published as the trust anchor, ` +
        "which OpenSSL, nginx and Node do not accept",
    );
  }
  const anchors = [...roots, ...further];
  return { kind: "arranged", chain, roots, anchors, warnings };
}

/** The CA and the intermediates above it, as far as they are among the given ones. */
async function chainOf(
  certificate: Certificate,
  intermediates: readonly Certificate[],
  at: Temporal.Instant,
): Promise<Certificate[]> {
  const chain = [certificate];
  for (let last = certificate;;) {
    const issuers: Certificate[] = [];
    for (const other of intermediates) {
      if (chain.includes(other) || !hasIssuerName(last, other)) continue;
      if (await isSignedBy(last, other)) issuers.push(other);
    }
    const next = issuers.find((one) => caRejectionReason(one, at) === undefined) ?? issuers[0];
    if (next === undefined) return chain;
    chain.push(next);
    last = next;
  }
}

/** Why the chain leads to none of the roots; undefined where no certificate is meant to be one above it. */
async function rootProblem(
  chain: Certificate[],
  selfSigned: readonly Certificate[],
  unrelated: readonly Certificate[],
  at: Temporal.Instant,
): Promise<string | undefined> {
  for (const subject of chain.toReversed()) {
    for (const root of selfSigned) {
      if (!hasIssuerName(subject, root)) continue;
      const link = await linkProblem(subject, root) ?? caRejectionReason(root, at);
      if (link !== undefined) return link;
      const verdict = await verifyIssuerChain(chain, [root], at);
      if (verdict.kind === "refused") return verdict.problem;
    }
  }
  const [top] = chain.toReversed();
  if (top === undefined) return undefined;
  const namesake = unrelated.find((other) => hasIssuerName(top, other));
  if (namesake !== undefined) return await linkProblem(top, namesake);
  return selfSigned.length === 0 ? undefined : missing(top);
}

/** Why the signature of a certificate cannot be verified with a certificate that has its issuer's name. */
async function linkProblem(subject: Certificate, issuer: Certificate): Promise<string | undefined> {
  const [shown, shownIssuer] = [subject, issuer].map(describeCertificate);
  if (readPublicKey(issuer.spki) === undefined) {
    return `${shownIssuer} has a key of a type that is not supported; supported are ECDSA P-256, ` +
      "P-384 and P-521, Ed25519, and RSA";
  }
  if (!hasKnownSignature(subject)) {
    return `${shown} is signed with an algorithm that is not supported; supported are ECDSA, RSA ` +
      "and Ed25519 with SHA-256 or better";
  }
  if (!await isSignedBy(subject, issuer)) {
    return `${shownIssuer} has the name of the issuer of ${shown}, but did not sign it: its key ` +
      "is another one; give the certificate of the key that signed it";
  }
}

function missing(top: Certificate): string {
  return `the certificate of the issuer of ${describeCertificate(top)}, ` +
    `"${
      abbreviate(top.issuer)
    }", is missing; add an intermediate CA to tls.crt, or a root to ca.crt`;
}

/** A root whose own signature cannot be verified is one all the same: verifiers do not look at it. */
async function isRoot(certificate: Certificate): Promise<boolean> {
  if (!hasIssuerName(certificate, certificate)) return false;
  const isVerifiable = readPublicKey(certificate.spki) && hasKnownSignature(certificate);
  return !isVerifiable || await isSelfSigned(certificate);
}

function distinct(certificates: readonly Certificate[]): Certificate[] {
  return certificates.filter((one, at) =>
    certificates.findIndex(({ der }) => equalBytes(der, one.der)) === at
  );
}
