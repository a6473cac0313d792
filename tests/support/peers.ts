import type { PeerDecision, PeerVerifier } from "../../src/shared/grpc_server/peer_verifier.ts";

/** Accepts every client, each certificate as another node's, for a server whose verifier is not under test. */
export function acceptingPeers(): TestPeers {
  const expiresAt = Temporal.Instant.from("2100-01-01T00:00:00Z");
  return new TestPeers((leaf) => ({ kind: "accepted", owner: leaf.toHex(), expiresAt }));
}

/** Decides about clients as a test prescribes, which may change the decision. */
export class TestPeers implements PeerVerifier {
  readonly #listeners = new Set<() => void>();
  /** How many certificates were verified. */
  verified = 0;
  decide: (leaf: Uint8Array) => PeerDecision | Promise<PeerDecision>;

  constructor(decide?: (leaf: Uint8Array) => PeerDecision | Promise<PeerDecision>) {
    const expiresAt = Temporal.Instant.from("2100-01-01T00:00:00Z");
    this.decide = decide ?? (() => ({ kind: "accepted", owner: "node-1", expiresAt }));
  }

  get followers(): number {
    return this.#listeners.size;
  }

  async verify(leaf: Uint8Array): Promise<PeerDecision> {
    this.verified++;
    return await this.decide(leaf);
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Decides in another way from now on. */
  change(decide: (leaf: Uint8Array) => PeerDecision | Promise<PeerDecision>): void {
    this.decide = decide;
    for (const listener of this.#listeners) listener();
  }
}
