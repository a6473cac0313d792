import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { derivePublicKey, embeddedPublicKey } from "../../shared/crypto/key_pairs.ts";
import { type Certificate, readCertificates } from "../../shared/x509/certificate.ts";
import type { Mounter } from "./mounter.ts";
import type { VolumeContents, VolumePlacement } from "./volume_files.ts";
import type { VolumeRecord } from "./volume_record.ts";

/** An adopted certificate's issue is taken to be this long after its notBefore, which is back-dated. */
const backdate = { minutes: 5 };

/** The state of a volume at its target. */
export type VolumeHealth =
  | { readonly kind: "healthy"; readonly leaf: Certificate; readonly contents: VolumeContents }
  /** Mounted, but without a valid certificate and its key. */
  | {
    readonly kind: "broken";
    readonly problem: string;
    readonly contents: VolumeContents | undefined;
  }
  | { readonly kind: "absent" }
  | { readonly kind: "foreign" };

/**
 * Looks at what a pod sees at a target. `trustEmbeddedPublicKey`: uses the public key that an EC private key
 * contains, because deriving it takes as long as everything else together.
 */
export async function checkVolume(
  mounter: Mounter,
  placement: VolumePlacement,
  now: Temporal.Instant,
  { trustEmbeddedPublicKey } = { trustEmbeddedPublicKey: false },
): Promise<VolumeHealth> {
  const { targetPath, parsed } = placement;
  const state = mounter.state(targetPath);
  if (state !== "ours") return { kind: state };
  const names = [parsed.certificateFile, parsed.privateKeyFile, parsed.caFile];
  const [certificatePem, privateKeyPem, trustBundlePem] = await mounter.readAll(targetPath, names);
  if (!certificatePem || !privateKeyPem || !trustBundlePem) {
    return { kind: "broken", problem: "a file is missing or empty", contents: undefined };
  }
  const contents = { certificatePem, privateKeyPem, trustBundlePem };
  const broken = (problem: string): VolumeHealth => ({ kind: "broken", problem, contents });
  const leaf = readCertificates(certificatePem)?.[0];
  if (leaf === undefined) return broken("the certificate cannot be read");
  const claimed = trustEmbeddedPublicKey ? embeddedPublicKey(privateKeyPem) : undefined;
  const publicKey = claimed ?? await derivePublicKey(privateKeyPem);
  if (publicKey === undefined) return broken("the key cannot be read");
  if (!equalBytes(publicKey, leaf.spki)) return broken("the key does not match the certificate");
  if (Temporal.Instant.compare(leaf.notAfter, now) <= 0) return broken("the certificate expired");
  return { kind: "healthy", leaf, contents };
}

/** The record's fields that come from the certificate, read from a mounted one. */
export function certificateFields(leaf: Certificate): Pick<VolumeRecord, IssuedFields> {
  const { serialNumber, notAfter } = leaf;
  return { issuedAt: leaf.notBefore.add(backdate), serialNumber, notAfter };
}

export type IssuedFields = "issuedAt" | "serialNumber" | "notAfter";
