import type { NodeDenials } from "../access/node_certificate_verifier.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { DenialStore } from "./denial_store.ts";

export interface NodeRevocationOptions {
  readonly clock: Clock;
  readonly store: DenialStore;
  /** How long a node certificate's notBefore is before the time of its issue. */
  readonly backdating: Temporal.DurationLike;
  /** The longest lifetime of a node certificate; undefined where another CA issues them (mtls). */
  readonly longestLifetime: Temporal.DurationLike | undefined;
}

/**
 * The clocks of two replicas may differ by this much: a certificate that the other replica issued just
 * before the revocation may state a later time. A node that attests again within this time after its
 * revocation is rejected once more; so this is less than `maxClockSkew`.
 */
const clockDifference = { minutes: 1 };
/** The latest time that a certificate can state (RFC 5280, 4.1.2.5). */
const never = Temporal.Instant.from("9999-12-31T23:59:59Z");

/**
 * Rejects the client certificates that a node received before it was revoked. The node itself is not
 * excluded: its driver can attest again while the driver's pod runs there.
 */
export class NodeRevocation implements NodeDenials {
  readonly #options: NodeRevocationOptions;

  constructor(options: NodeRevocationOptions) {
    this.#options = options;
  }

  /** Denies the certificates that the node has now; rejects when that cannot be stored. */
  async revoke(node: string): Promise<void> {
    const { clock, store, longestLifetime, backdating } = this.#options;
    const at = clock.now();
    // A replica whose clock is behind accepts a certificate for longer; back-dating allows for that.
    const forgetAt = longestLifetime === undefined
      ? never
      : at.add(longestLifetime).add(backdating);
    await store.saveNode({ node, at, forgetAt });
  }

  isDenied(node: string, notBefore: Temporal.Instant): boolean {
    const { store, backdating } = this.#options;
    const denial = store.getNode(node);
    if (denial === undefined) return false;
    const firstAccepted = denial.at.subtract(backdating).add(clockDifference);
    return Temporal.Instant.compare(notBefore, firstAccepted) < 0;
  }

  onChange(listener: () => void): Disposable {
    return this.#options.store.onNodesChange(listener);
  }
}
