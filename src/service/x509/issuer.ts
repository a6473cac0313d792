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
import { equalBytes } from "../../shared/crypto/der_reader.ts";
import {
  exportPublicKey,
  importPrivateKey,
  importPublicKey,
} from "../../shared/crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import { describePem } from "../../shared/crypto/pem.ts";
import { arrangeChain } from "./ca_chain.ts";
import { subjectRejectionReason } from "./ca_names.ts";
import { describeOtherEncoding } from "./ca_text.ts";
import { type NameConstraints, nameConstraintsOf } from "./name_constraints.ts";

/** A CA that can sign leaves. */
export interface Issuer {
  readonly certificate: Certificate;
  /** The certificates after the leaf in its chain: this CA and its intermediates; empty for a root. */
  readonly chain: Certificate[];
  readonly privateKey: CryptoKey;
  readonly algorithm: KeyAlgorithm;
  /** Of this CA, its intermediates and its roots: verifiers reject a leaf with a name outside them. */
  readonly nameConstraints: readonly NameConstraints[];
}

type Refused = { kind: "refused"; problem: string };
type Loaded = { kind: "loaded"; issuer: Issuer; anchors: Certificate[]; warnings: string[] };

/** The certificates of a CA, without its key. */
export interface ExaminedCa {
  readonly kind: "examined";
  readonly certificate: Certificate;
  /** All other certificates of the PEM. */
  readonly others: Certificate[];
  readonly chain: Certificate[];
  readonly roots: Certificate[];
  readonly anchors: Certificate[];
  readonly nameConstraints: NameConstraints[];
  readonly warnings: string[];
}

/**
 * Reads a CA from the PEM of its certificate, which other certificates may follow in any order, and
 * the PEM of its key. The anchors are the roots among the certificates, or the CA itself without one.
 */
export async function loadIssuer(
  certificatePem: string,
  privateKeyPem: string,
  at: Temporal.Instant,
): Promise<Loaded | Refused> {
  const certificates = readCaCertificates(certificatePem);
  if ("problem" in certificates) return certificates;
  const [certificate, ...others] = certificates;
  const key = await importPrivateKey(privateKeyPem);
  if (key.kind === "refused") {
    const problem = describeOtherEncoding(privateKeyPem, "tls.key") ?? key.problem;
    return refused(`the CA's key cannot be used: ${problem}`);
  }
  const { privateKey, publicKey } = key.keyPair;
  if (!await keyMatches(certificate, publicKey)) {
    return refused(await keyMismatch(others, publicKey));
  }
  const examined = await examineCertificates(certificates, at);
  if (examined.kind === "refused") return examined;
  const { chain, anchors, nameConstraints, warnings } = examined;
  return {
    kind: "loaded",
    issuer: { certificate, chain, privateKey, algorithm: key.algorithm, nameConstraints },
    anchors: anchors.length > 0 ? anchors : [certificate],
    warnings,
  };
}

/** Examines the certificates of a CA, whose own is the first of the PEM, without its key. */
export async function examineCa(
  certificatePem: string,
  at: Temporal.Instant,
): Promise<ExaminedCa | Refused> {
  const certificates = readCaCertificates(certificatePem);
  return "problem" in certificates ? certificates : await examineCertificates(certificates, at);
}

type PemCertificates = [Certificate, ...Certificate[]];

function readCaCertificates(pem: string): PemCertificates | Refused {
  const certificates = readCertificates(pem);
  if (certificates === undefined) {
    return refused("the CA's PEM contains a certificate that cannot be read");
  }
  const [certificate, ...others] = certificates;
  if (certificate !== undefined) return [certificate, ...others];
  return refused(
    "expected the CA's certificate as a PEM block CERTIFICATE, but " +
      (describeOtherEncoding(pem, "tls.crt") ?? `found ${describePem(pem)}`),
  );
}

async function examineCertificates(
  [certificate, ...others]: PemCertificates,
  at: Temporal.Instant,
): Promise<ExaminedCa | Refused> {
  const arranged = await arrangeChain(certificate, others, at);
  if (arranged.kind === "refused") return arranged;
  const { chain, roots } = arranged;
  const path = [...new Set([certificate, ...chain, ...roots])];
  const problem = subjectRejectionReason(path);
  if (problem !== undefined) return refused(problem);
  const nameConstraints = nameConstraintsOf(path);
  return { ...arranged, kind: "examined", certificate, others, nameConstraints };
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

function refused(problem: string): Refused {
  return { kind: "refused", problem };
}
