import { type AuditEntry, writeAuditEntry } from "../access/audit_log.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { AttestationOutcome } from "./attestation_outcome.ts";
import { isWithin } from "../../shared/scheduler/instants.ts";
import type { ServiceAccountToken } from "./service_account_token.ts";

export interface AttestationRecord<Outcome extends AttestationOutcome> {
  /** Undefined where the token is not verified. */
  readonly token?: ServiceAccountToken | undefined;
  readonly outcome: Outcome & { readonly serialNumber?: string };
}

export interface AttestationAuditOptions {
  readonly clock: Clock;
  /** "namespace/name" of the driver's service account. */
  readonly account: string;
  /** Counts attestations by outcome. */
  readonly onOutcome: (outcome: AttestationOutcome["kind"]) => void;
  readonly write?: ((entry: AuditEntry) => void) | undefined;
}

/** Lines a second for callers whose token is not verified. */
const maxUnverifiedLines = 10;

/**
 * Writes a line to the audit log for each attestation. For callers whose token is not verified it
 * writes a few lines a second, with the number of attestations that were not logged.
 */
export class AttestationAudit {
  readonly #options: AttestationAuditOptions;
  #secondAt: Temporal.Instant | undefined;
  #unverifiedLines = 0;
  #notLogged = 0;

  constructor(options: AttestationAuditOptions) {
    this.#options = options;
  }

  /** Returns the outcome that it has written. */
  write<Outcome extends AttestationOutcome>(record: AttestationRecord<Outcome>): Outcome {
    const { outcome } = record;
    this.#options.onOutcome(outcome.kind);
    const write = this.#options.write ?? writeAuditEntry;
    if (record.token !== undefined) write(this.#entry(record));
    else if (this.#mayWrite()) {
      const entry = this.#entry(record);
      const others = this.#notLogged === 0 ? "" : ` (${this.#notLogged} others were not logged)`;
      this.#notLogged = 0;
      write({ ...entry, reason: `${entry.reason}${others}` });
    } else this.#notLogged++;
    return outcome;
  }

  #mayWrite(): boolean {
    const now = this.#options.clock.now();
    if (this.#secondAt === undefined || !isWithin(this.#secondAt, { seconds: 1 }, now)) {
      this.#secondAt = now;
      this.#unverifiedLines = 0;
    }
    return this.#unverifiedLines++ < maxUnverifiedLines;
  }

  #entry({ token, outcome }: AttestationRecord<AttestationOutcome>): AuditEntry {
    const podUid = token?.pod.uid;
    const serviceAccount = this.#options.account;
    return {
      action: "attest",
      outcome: outcome.kind,
      caller: token?.node === undefined ? undefined : {
        kind: "node",
        node: token.node,
        serviceAccount,
        podUid,
        tokenId: token.tokenId,
      },
      podUid,
      serialNumber: outcome.serialNumber,
      ...(outcome.kind === "issued" ? { notAfter: outcome.notAfter } : { reason: outcome.reason }),
    };
  }
}
