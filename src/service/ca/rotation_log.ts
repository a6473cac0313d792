import { getLogger } from "@logtape/logtape";
import { describeCertificate } from "../../shared/x509/certificate.ts";
import type { LoadedCa } from "./loaded_ca.ts";
import type { TrustState } from "./trust_state.ts";

const logger = getLogger(["cert-service", "ca"]);

/** Logs what has changed in a state. */
export function logRotation(before: TrustState | undefined, { pending, anchors }: TrustState) {
  if (pending && String(before?.pending?.switchAt) !== String(pending.switchAt)) {
    logger.info("a new CA is published, and signs from {switchAt} on", {
      switchAt: pending.switchAt.toString(),
      fingerprint: pending.fingerprint,
    });
  }
  const left = new Set(anchors.map(({ fingerprint }) => fingerprint));
  for (const { fingerprint, certificate: { subject } } of before?.anchors ?? []) {
    if (!left.has(fingerprint)) {
      logger.info("{subject} is no longer trusted", { subject, fingerprint });
    }
  }
}

/** Logs which CA signs from now on. */
export function logSigning({ issuer: { certificate, chain, algorithm }, fingerprint }: LoadedCa) {
  logger.info("signing with {subject}", {
    subject: certificate.subject,
    algorithm,
    serialNumber: certificate.serialNumber,
    fingerprint,
    notAfter: certificate.notAfter.toString(),
    intermediates: chain.length,
  });
}

/** Describes a rotation to operators, a sentence each. */
export function describeRotation({ pending, anchors }: TrustState): string[] {
  return [
    ...(pending ? [`a new CA is published, and signs from ${pending.switchAt} on`] : []),
    ...anchors.filter(({ retireAt }) => retireAt !== undefined).map(({ certificate, retireAt }) =>
      `${describeCertificate(certificate)} is trusted until ${retireAt}`
    ),
  ];
}
