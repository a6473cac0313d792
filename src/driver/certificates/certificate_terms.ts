import type { Moment } from "../../shared/scheduler/clock.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";

/** A certificate's validity as its issuer states it, and when this node received it, on both of the node's clocks. */
export interface CertificateTerms {
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** The node's wall clock at the receipt; not notBefore, which is back-dated. */
  readonly issuedAt: Temporal.Instant;
  /** Milliseconds from boot to the receipt; undefined when they are not known. */
  readonly receivedBootMs: number | undefined;
  /** The boot from which `receivedBootMs` counts. */
  readonly bootId: string | undefined;
}

/** For how long a certificate is valid after its issue; the clocks of the node and of the service have no part in it. */
export function lifetimeMs({ notBefore, notAfter }: Validity): number {
  return notAfter.epochMilliseconds - issueTime({ notBefore }).epochMilliseconds;
}

/** The service's wall clock when it issued the certificate, rounded down to a second: to back-date is part of the protocol. */
export function issueTime({ notBefore }: Pick<Validity, "notBefore">): Temporal.Instant {
  return notBefore.add(maxClockSkew);
}

type Validity = Pick<CertificateTerms, "notBefore" | "notAfter">;

/**
 * How long ago the certificate was received. In the same boot it is the larger of the two differences, because the wall
 * clock can step back and a paused virtual machine stops the time since boot. After a reboot only the wall clock is left;
 * undefined when it shows a time before the receipt.
 */
export function ageMs(
  terms: CertificateTerms,
  { wall, bootMs, bootId }: Moment,
): number | undefined {
  const wallMs = wall.epochMilliseconds - terms.issuedAt.epochMilliseconds;
  if (terms.receivedBootMs === undefined || terms.bootId !== bootId) {
    return wallMs >= 0 ? wallMs : undefined;
  }
  return Math.max(bootMs - terms.receivedBootMs, wallMs, 0);
}

/** Whether the certificate has expired. One of unknown age has not: its renewal is due. */
export function isExpired(terms: CertificateTerms, moment: Moment): boolean {
  return (ageMs(terms, moment) ?? 0) >= lifetimeMs(terms);
}

/** When the certificate expires, on the node's wall clock. */
export function expiryTime(terms: CertificateTerms, moment: Moment): Temporal.Instant {
  return moment.wall.add({ milliseconds: Math.floor(remainingMs(terms, moment)) });
}

/** For how long the certificate is still valid; negative after its expiry. */
export function remainingMs(terms: CertificateTerms, moment: Moment): number {
  return lifetimeMs(terms) - (ageMs(terms, moment) ?? 0);
}
