import { getLogger } from "@logtape/logtape";
import type {
  ClientIdentity,
  ClientIdentitySource,
  ConnectionObservation,
} from "../../shared/grpc_client/client_identity.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { AttestationOutcome } from "./attestation_client.ts";
import { attestationRetryMs, reattestationPauseMs } from "./attestation_times.ts";
import { identityRenewalFraction } from "../../shared/x509/identity_renewal.ts";
import { CurrentIdentity } from "./current_identity.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

const logger = getLogger(["csi-driver", "attestation"]);
/** A connection that is missing for a shorter time is no reason to suspect the identity. */
const outageMs = 10_000;
/** Drivers that lost their connections together do not attest together. */
const outageSpreadMs = 20_000;
const refusalSpreadMs = 10_000;

export interface NodeIdentityParts {
  /** One attempt; rejects only when the signal is aborted. */
  readonly attest: (signal: AbortSignal) => Promise<AttestationOutcome>;
  readonly clock: Clock;
  readonly random: () => number;
}

/**
 * This node's certificate for the certificate service: attests at the start, again at two thirds of each certificate's
 * lifetime, and when the service seems not to accept the present one. Keeps the last one while attestation fails.
 */
export class NodeIdentity implements ClientIdentitySource, Disposable {
  readonly #parts: NodeIdentityParts;
  readonly #identity: CurrentIdentity;
  readonly #stop = new AbortController();
  #problem: string | undefined = "the first attestation has not ended yet";
  #attempt: Promise<void> | undefined;
  /** Renewal, or another attempt after one that failed while a certificate was due. */
  #renewal: Disposable | undefined;
  #isDue = true;
  #failures = 0;
  /** Since the first call that found no connection. */
  #outage: { readonly timer: Disposable; isLong: boolean } | undefined;
  /** Attestations since the service last answered that were made because it did not. */
  #reattestations = 0;
  #planned: Disposable | undefined;
  /** While it runs, no missing connection leads to an attestation. */
  #pause: Disposable | undefined;

  constructor(parts: NodeIdentityParts) {
    this.#parts = parts;
    this.#identity = new CurrentIdentity(parts.clock);
  }

  /** Attests, and keeps the certificate renewed until disposed. Resolves when the first attempt has ended. */
  start(): Promise<void> {
    return this.#attest();
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  current(): ClientIdentity | undefined {
    return this.#identity.get();
  }

  onChange(listener: () => void): Disposable {
    return this.#identity.onChange(listener);
  }

  report(observation: ConnectionObservation): void {
    switch (observation) {
      case "answered":
        return this.#confirmIdentity();
      case "unauthenticated":
        return this.#plan(refusalSpreadMs);
      case "unreachable":
        if (this.#outage === undefined) this.#startOutage();
        else if (this.#outage.isLong) this.#plan(outageSpreadMs);
    }
  }

  /** The service accepts the identity: nothing that was planned because it did not is needed any more. */
  #confirmIdentity(): void {
    this.#outage?.timer[Symbol.dispose]();
    this.#planned?.[Symbol.dispose]();
    this.#outage = this.#planned = undefined;
    this.#reattestations = 0;
    if (!this.#isDue) this.#problem = undefined;
  }

  /**
   * In TLS 1.3 a client whose certificate is refused sees only that the connection ends, as it does when the service is
   * away. So the identity is suspected when an attempt to connect fails 10 s after the first one that did.
   */
  #startOutage(): void {
    const timer = this.#parts.clock.after(outageMs, () => {
      if (this.#outage !== undefined) this.#outage.isLong = true;
    });
    this.#outage = { timer, isLong: false };
  }

  #plan(spreadMs: number): void {
    const isWaiting = this.#planned ?? this.#pause ?? this.#attempt;
    if (isWaiting !== undefined || this.#isDue || this.#stop.signal.aborted) return;
    const { clock, random } = this.#parts;
    this.#planned = clock.after(random() * spreadMs, () => {
      this.#planned = undefined;
      this.#reattestations++;
      void this.#attest();
    });
  }

  #attest(): Promise<void> {
    this.#planned?.[Symbol.dispose]();
    this.#planned = undefined;
    this.#attempt ??= this.#attempted().finally(() => this.#attempt = undefined);
    return this.#attempt;
  }

  async #attempted(): Promise<void> {
    const { signal } = this.#stop;
    const outcome = await this.#parts.attest(signal).catch((error): AttestationOutcome => ({
      kind: "unavailable",
      reason: `the attestation failed: ${errorMessage(error)}`,
    }));
    if (signal.aborted) return;
    if (outcome.kind === "identity") this.#succeed(outcome);
    else this.#fail(outcome);
    this.#pause?.[Symbol.dispose]();
    this.#pause = this.#parts.clock.after(
      reattestationPauseMs(outcome, this.#reattestations),
      () => {
        this.#pause = undefined;
      },
    );
  }

  #succeed(
    { certificatePem, privateKeyPem, lifetimeMs }: AttestationOutcome & { kind: "identity" },
  ): void {
    const { random } = this.#parts;
    if (this.#problem !== undefined) logger.info("the node is attested");
    this.#problem = undefined;
    this.#isDue = false;
    this.#failures = 0;
    // Up to a twentieth earlier at random, so that not all nodes attest at once.
    this.#setRenewal(lifetimeMs * identityRenewalFraction * (1 - random() / 20));
    this.#identity.replace(certificatePem, privateKeyPem, lifetimeMs);
  }

  #fail(outcome: Exclude<AttestationOutcome, { kind: "identity" }>): void {
    this.#failures++;
    // Once for each reason: a service that is away for hours is not logged at every attempt.
    if (this.#problem !== outcome.reason) {
      logger.warn("the node cannot be attested: {reason}", { reason: outcome.reason });
    }
    this.#problem = outcome.reason;
    if (!this.#isDue) return;
    const { isUsable } = this.#identity;
    const attempts = { failures: this.#failures, isUsable };
    this.#setRenewal(attestationRetryMs(outcome, attempts, this.#parts.random));
  }

  #setRenewal(ms: number): void {
    this.#renewal?.[Symbol.dispose]();
    this.#renewal = this.#parts.clock.after(ms, () => {
      this.#isDue = true;
      void this.#attest();
    });
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    for (const timer of [this.#renewal, this.#outage?.timer, this.#planned, this.#pause]) {
      timer?.[Symbol.dispose]();
    }
    this.#identity[Symbol.dispose]();
  }
}
