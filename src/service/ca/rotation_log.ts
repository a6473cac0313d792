import { getLogger } from "@logtape/logtape";
import { type Certificate, describeCertificate } from "../../shared/x509/certificate.ts";
import type { LoadedCa } from "./loaded_ca.ts";
import type { TrustState } from "./trust_state.ts";
import { isUntrusted, untrustedEntry, type UntrustedRoot } from "./untrusted_roots.ts";

const logger = getLogger(["cert-service", "ca"]);

/** Logs what has changed in a state. */
export function logRotation(before: TrustState | undefined, after: TrustState): void {
  const { pending, anchors } = after;
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
  if (before !== undefined) logUntrusted(before, after);
}

function logUntrusted(before: TrustState, after: TrustState): void {
  for (const { fingerprint, subject, isTrustedAgain } of after.untrusted) {
    if (isUntrusted(before.untrusted, fingerprint) === !isTrustedAgain) continue;
    const properties = { root: subject || fingerprint, fingerprint };
    if (isTrustedAgain) logger.warn("{root} may be trusted again", properties);
    else logger.warn("{root} is listed as untrusted and is never published again", properties);
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
export function describeRotation(
  { pending, anchors, untrusted }: TrustState,
  latest: LoadedCa | undefined,
): string[] {
  return [
    ...(pending ? [`a new CA is published, and signs from ${pending.switchAt} on`] : []),
    ...anchors.filter(({ retireAt }) => retireAt !== undefined).map(({ certificate, retireAt }) =>
      `${describeCertificate(certificate)} is trusted until ${retireAt}`
    ),
    ...untrusted.filter(({ isTrustedAgain }) => !isTrustedAgain).map(describeUntrusted),
    ...(latest?.furtherAnchors ?? []).flatMap((root) => describeOmitted(untrusted, root)),
  ];
}

function describeUntrusted({ subject, fingerprint }: UntrustedRoot): string {
  const shown = subject === "" ? "a CA" : `the certificate "${subject}"`;
  return `${shown} is never trusted again, because its key was marked as compromised: ${fingerprint}`;
}

function describeOmitted(untrusted: readonly UntrustedRoot[], root: Certificate): string[] {
  const entry = untrustedEntry(untrusted, root);
  if (entry === undefined) return [];
  return [
    `${describeCertificate(root)} of the Secret's ca.crt is not published: it is listed as ` +
    `untrusted, as ${entry.fingerprint}`,
  ];
}

/** Why nothing is signed, for callers. */
export function describeUnavailable(
  { stopsSigning, rejectionReason, pending, latest, documentProblem, sourceProblem }: {
    readonly stopsSigning: boolean;
    readonly rejectionReason: string | undefined;
    readonly pending: TrustState["pending"];
    readonly latest: LoadedCa | undefined;
    readonly documentProblem: string | undefined;
    readonly sourceProblem: string | undefined;
  },
): string {
  if (stopsSigning) {
    return "the key of the CA is marked as compromised, and the CA that replaces it cannot be " +
      "used: the service's /readyz states why";
  }
  if (pending !== undefined && pending.fingerprint === latest?.fingerprint) {
    return `the CA signs from ${pending.switchAt} on, when all clients trust it; ` +
      "this replica does not have the key of the previous CA";
  }
  if (rejectionReason !== undefined) {
    return "the CA cannot be used: the service's /readyz states why";
  }
  if (documentProblem !== undefined) {
    return "the trust bundle cannot be read or written: the service's /readyz states why";
  }
  return sourceProblem ?? "this replica has not read the CA that signs now";
}
