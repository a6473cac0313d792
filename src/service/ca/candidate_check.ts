import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { type Certificate, describeCertificate } from "../../shared/x509/certificate.ts";
import { isSameCa, untrustedCa } from "./compromised_cas.ts";
import { type LoadedCa, referenceTo, rootsOf } from "./loaded_ca.ts";
import { isOlder } from "./rotation_record.ts";
import { bundlePem, type TrustState } from "./trust_state.ts";
import { keyFingerprint } from "./untrusted_roots.ts";

/** Why a CA that can sign is not put into the state. */
export interface CandidateRejection {
  /** The source has a newer CA that this replica has not read yet: it waits. */
  readonly isOlder: boolean;
  readonly problem: string;
}

/**
 * The largest trust bundle. A volume has 1 MiB for two generations of its files, and the ConfigMap
 * has 1 MiB for the bundle and the state, which contains each certificate again.
 */
const maxBundleBytes = 256 * 1024;

/** Why a candidate is not put into this state; undefined when it may be. */
export function candidateRejection(
  state: TrustState,
  candidate: LoadedCa,
): CandidateRejection | undefined {
  const { source, untrusted } = state;
  if (isOlder(candidate.source, source)) {
    return {
      isOlder: true,
      problem: `this replica has read the Secret's resourceVersion ${candidate.source?.version}, ` +
        `and ${source?.version} was acted on already: it waits for that one`,
    };
  }
  const found = untrustedCa(untrusted, candidate);
  if (found !== undefined) {
    return rejected(
      `${found.shown} is in the list of untrusted roots, as ${found.entry.fingerprint}: make a CA ` +
        "with a new key, or change the word untrusted to trusted in that line of rotation.txt in " +
        "the trust bundle's ConfigMap",
    );
  }
  return candidate.compromised ? compromisedKeyRejection(state, candidate) : undefined;
}

/** Why a state must not become this one: its bundle is too large, and larger than before. */
export function bundleRejection(
  before: TrustState,
  after: TrustState,
  { anchors, furtherAnchors }: LoadedCa,
): CandidateRejection | undefined {
  const size = bundlePem(after.anchors).length;
  if (size <= maxBundleBytes || size <= bundlePem(before.anchors).length) return undefined;
  const own = anchors.length + furtherAnchors.length;
  return rejected(
    `the trust bundle would have ${size} bytes in ${after.anchors.length} roots, and at most ` +
      `${maxBundleBytes} bytes are possible: remove roots from the ${own} that come with the CA ` +
      "(ca.crt of the Secret)",
  );
}

/** Rejects a successor that uses the compromised key itself, or leads to its root: it would replace nothing. */
function compromisedKeyRejection(
  { signing, pending, anchors }: TrustState,
  candidate: LoadedCa,
): CandidateRejection | undefined {
  const { issuer } = candidate;
  const own = [...new Set([issuer.certificate, ...issuer.chain, ...candidate.anchors])];
  const formerKeys = [signing, pending].filter((ca) => ca && !isSameCa(ca, referenceTo(candidate)))
    .map((ca) => ca?.keyFingerprint);
  const roots = new Set(rootsOf(candidate));
  const sameKey = anchors.filter(({ fingerprint }) => !roots.has(fingerprint))
    .find(({ certificate }) => own.some((one) => hasSameKey(one, certificate)));
  const formerRoot = [signing, pending].find((ca) =>
    ca !== undefined && ca.fingerprint !== candidate.fingerprint && roots.has(ca.fingerprint)
  );
  const former = sameKey ??
    anchors.find(({ fingerprint }) => fingerprint === formerRoot?.fingerprint);
  if (former === undefined) {
    const reused = own.find((one) => formerKeys.includes(keyFingerprint(one)));
    return reused && rejected(
      `${describeCertificate(reused)} has the key of the former CA, which is marked as ` +
        "compromised: make a CA with a new key, which is not below that one",
    );
  }
  return rejected(
    `it uses the key of the former CA ${
      describeCertificate(former.certificate)
    }, which is marked ` +
      "as compromised: make a CA with a new key",
  );
}

function hasSameKey(one: Certificate, other: Certificate): boolean {
  return equalBytes(one.spki, other.spki);
}

function rejected(problem: string): CandidateRejection {
  return { isOlder: false, problem };
}
