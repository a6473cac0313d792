/**
 * This folder is the part of X.509 that only an issuer uses: leaf and root certificates, reading a CA
 * from its PEM, and checking that a CA can sign. Its main types are `Issuer`, `LeafTemplate` and
 * `CertificateNames`; its main functions are `signLeaf` and `caRejectionReason`. It never reads a
 * clock, does no I/O and does not log.
 */

import {
  type Certificate,
  describeCertificate,
  readCertificates,
} from "../../shared/x509/certificate.ts";
import {
  hasIssuerName,
  isSelfSigned,
  isSignedBy,
  verifyIssuerChain,
} from "../../shared/x509/chain.ts";
import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { caRejectionReason, caWarnings } from "./ca_fitness.ts";
import {
  exportPublicKey,
  importPrivateKey,
  importPublicKey,
} from "../../shared/crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import { describePem } from "../../shared/crypto/pem.ts";

/** A CA that can sign leaves. */
export interface Issuer {
  readonly certificate: Certificate;
  /** The certificates after the leaf in its chain: this CA and its intermediates; empty for a root. */
  readonly chain: Certificate[];
  readonly privateKey: CryptoKey;
  readonly algorithm: KeyAlgorithm;
}

type Refused = { kind: "refused"; problem: string };
type Loaded = { kind: "loaded"; issuer: Issuer; anchors: Certificate[]; warnings: string[] };

/**
 * Reads a CA from the PEM of its certificate, which other certificates may follow in any order, and
 * the PEM of its key. The anchors are the roots among the certificates, or the CA itself without one.
 */
export async function loadIssuer(
  certificatePem: string,
  privateKeyPem: string,
  at: Temporal.Instant,
): Promise<Loaded | Refused> {
  const certificates = readCertificates(certificatePem);
  if (certificates === undefined) {
    return refused("the CA's PEM contains a certificate that cannot be read");
  }
  const [certificate, ...others] = certificates;
  if (certificate === undefined) {
    return refused(
      "expected the CA's certificate as a PEM block CERTIFICATE, but found " +
        describePem(certificatePem),
    );
  }
  const key = await importPrivateKey(privateKeyPem);
  if (key.kind === "refused") return refused(`the CA's key cannot be used: ${key.problem}`);
  const { privateKey, publicKey } = key.keyPair;
  if (!await keyMatches(certificate, publicKey)) {
    return refused(await keyMismatch(others, publicKey));
  }
  const problem = caRejectionReason(certificate, at);
  if (problem) return refused(problem);

  const { chain, anchors, warnings } = await orderChain(certificate, others, at);
  if (chain.length > 0 && anchors.length > 0) {
    const verdict = await verifyIssuerChain(chain, anchors, at);
    if (verdict.kind === "refused") {
      return refused(`the CA's chain leads to no root in its PEM: ${verdict.problem}`);
    }
  }
  return {
    kind: "loaded",
    issuer: { certificate, chain, privateKey, algorithm: key.algorithm },
    anchors: anchors.length > 0 ? anchors : [certificate],
    warnings: [...caWarnings(certificate), ...warnings],
  };
}

async function keyMatches(certificate: Certificate, publicKey: CryptoKey): Promise<boolean> {
  const certified = await importPublicKey(certificate.spki);
  if (certified.kind === "refused") return false;
  // Both are exported, so that two encodings of one key become the same bytes.
  const [left, right] = await Promise.all([certified.publicKey, publicKey].map(exportPublicKey));
  return left !== undefined && right !== undefined && equalBytes(left, right);
}

async function keyMismatch(others: Certificate[], publicKey: CryptoKey): Promise<string> {
  for (const other of others) {
    if (await keyMatches(other, publicKey)) {
      return `the CA's key belongs to ${describeCertificate(other)}, which is not the first in ` +
        "the PEM; put the certificate of the key first";
    }
  }
  return "the CA's key does not belong to its certificate; " +
    "give the certificate and the key that were made together";
}

interface Arrangement {
  chain: Certificate[];
  anchors: Certificate[];
  warnings: string[];
}

/** Sorts the other certificates into the CA's chain, roots, and unrelated ones. */
async function orderChain(
  certificate: Certificate,
  others: Certificate[],
  at: Temporal.Instant,
): Promise<Arrangement> {
  const anchors: Certificate[] = [];
  const warnings: string[] = [];
  const chain = await isSelfSigned(certificate) ? [] : [certificate];
  if (chain.length === 0) anchors.push(certificate);
  const intermediates = new Set<Certificate>();
  for (const other of others) {
    if (!await isSelfSigned(other)) intermediates.add(other);
    else if (anchors.every((anchor) => !equalBytes(anchor.der, other.der))) {
      const problem = caRejectionReason(other, at);
      if (problem) warnings.push(`a root in the CA's PEM is ignored: ${problem}`);
      else anchors.push(other);
    }
  }
  for (let last = chain[0]; last !== undefined;) {
    const next = await issuerAmong(intermediates, last);
    if (next === undefined) break;
    intermediates.delete(next);
    chain.push(next);
    last = next;
  }
  for (const unrelated of intermediates) {
    warnings.push(
      `${describeCertificate(unrelated)} in the CA's PEM is ignored: it is not in the CA's chain`,
    );
  }
  return { chain, anchors, warnings };
}

async function issuerAmong(
  candidates: Iterable<Certificate>,
  certificate: Certificate,
): Promise<Certificate | undefined> {
  for (const candidate of candidates) {
    if (hasIssuerName(certificate, candidate) && await isSignedBy(certificate, candidate)) {
      return candidate;
    }
  }
}

function refused(problem: string): Refused {
  return { kind: "refused", problem };
}
