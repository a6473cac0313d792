import { getLogger } from "@logtape/logtape";
import type { Clock } from "../scheduler/clock.ts";
import { WallClockTimer } from "../scheduler/wall_clock_timer.ts";
import { BoundedGroups } from "../network/bounded_groups.ts";
import type { PeerClosing } from "./connection_limits.ts";
import type { PeerDecision, PeerVerifier } from "./peer_verifier.ts";
import { errorMessage } from "../text/error_message.ts";

const logger = getLogger(["grpc", "peers"]);

/** A driver needs one connection, and a second one while it moves to a renewed certificate. */
const mostOfOwner = 4;
/** How many connections are verified again at once after a change. */
const verifiedAtOnce = 16;

/** What a connection's decision is now. */
export type PeerState = { readonly kind: "accepted" } | {
  readonly kind: "closed";
  readonly reason: string;
};

/** Keeps the decision about each authenticated connection, for as long as the connection lasts. */
export class PeerGate implements Disposable {
  readonly #verifier: PeerVerifier;
  readonly #clock: Clock;
  readonly #subscription: Disposable;
  /** By owner. */
  readonly #peers = new BoundedGroups<AcceptedPeer>({ total: Infinity });
  /** Counts the verifier's changes. A decision that was begun before the last one is not valid. */
  #generation = 0;
  #isVerifying = false;

  constructor(verifier: PeerVerifier, clock: Clock) {
    this.#verifier = verifier;
    this.#clock = clock;
    this.#subscription = verifier.onChange(() => {
      this.#generation++;
      void this.#verifyAll();
    });
  }

  get size(): number {
    return this.#peers.size;
  }

  /**
   * Decides about a new connection. The peer is counted until it is released; `close` is called at
   * most once before. Never rejects.
   */
  async admit(
    leaf: Uint8Array,
    close: (why: PeerClosing) => void,
  ): Promise<AcceptedPeer | { readonly rejected: string }> {
    const verified = await this.verify(leaf);
    if (verified.decision.kind === "rejected") return { rejected: verified.decision.reason };
    const { owner } = verified.decision;
    // The oldest one is closed: connections of a node that lost power are counted until a keepalive fails.
    if (this.#peers.count(owner) >= mostOfOwner) this.#peers.oldest(owner)?.close("connections");
    const peer = new AcceptedPeer(this, this.#clock, leaf, {
      owner,
      close,
      release: () => this.#peers.delete(owner, peer),
    });
    this.#peers.add(owner, peer);
    peer.accept(verified);
    return peer;
  }

  get generation(): number {
    return this.#generation;
  }

  /** A decision, and the state of the verifier in which it was made. Never rejects. */
  async verify(leaf: Uint8Array): Promise<Verified> {
    for (;;) {
      const generation = this.#generation;
      const decision = await this.#decide(leaf);
      if (generation === this.#generation) return { decision, generation };
    }
  }

  async #decide(leaf: Uint8Array): Promise<PeerDecision> {
    try {
      const decision = await this.#verifier.verify(leaf);
      if (decision.kind === "rejected" || !hasExpired(decision.expiresAt, this.#clock)) {
        return decision;
      }
      return {
        kind: "rejected",
        reason: `the client certificate has expired at ${decision.expiresAt}`,
      };
    } catch (error) {
      const reason = errorMessage(error);
      logger.error("cannot verify a client certificate, which is rejected: {reason}", { reason });
      return { kind: "rejected", reason: "the client certificate could not be verified" };
    }
  }

  async #verifyAll(): Promise<void> {
    if (this.#isVerifying) return;
    this.#isVerifying = true;
    const verify = async (peers: Iterator<AcceptedPeer>) => {
      for (let next = peers.next(); !next.done; next = peers.next()) await next.value.state();
    };
    for (let generation = -1; generation !== this.#generation;) {
      generation = this.#generation;
      const peers = [...this.#peers].values();
      await Promise.all(Array.from({ length: verifiedAtOnce }, () => verify(peers)));
    }
    this.#isVerifying = false;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    for (const peer of [...this.#peers]) peer[Symbol.dispose]();
  }
}

interface Verified {
  readonly decision: PeerDecision;
  readonly generation: number;
}

interface PeerOptions {
  readonly owner: string;
  readonly close: (why: PeerClosing) => void;
  readonly release: () => void;
}

/** One authenticated connection; disposed when it has closed. */
export class AcceptedPeer implements Disposable {
  readonly leaf: Uint8Array;
  readonly #gate: PeerGate;
  readonly #clock: Clock;
  readonly #options: PeerOptions;
  readonly #expiry: WallClockTimer;
  #expiresAt: Temporal.Instant | undefined;
  #generation = -1;
  #verifying: Promise<PeerState> | undefined;
  #closed: string | undefined;

  constructor(gate: PeerGate, clock: Clock, leaf: Uint8Array, options: PeerOptions) {
    this.leaf = leaf;
    this.#gate = gate;
    this.#clock = clock;
    this.#options = options;
    this.#expiry = new WallClockTimer(clock, () => this.#watchExpiry());
  }

  /** Stores a decision, which is valid until the verifier changes or the certificate expires. */
  accept({ decision, generation }: Verified): void {
    if (this.#closed !== undefined) return;
    if (decision.kind === "rejected") return this.#close("rejected", decision.reason);
    if (decision.owner !== this.#options.owner) {
      return this.#close("rejected", "the certificate's owner has changed");
    }
    this.#generation = generation;
    this.#expiresAt = decision.expiresAt;
    this.#watchExpiry();
  }

  /**
   * Whether the connection may start a new call. The answer is a promise while the verifier has changed
   * and has not decided again. A connection that may not start a call is closed.
   */
  state(): PeerState | Promise<PeerState> {
    if (this.#closed === undefined && this.#generation !== this.#gate.generation) {
      return this.#verifying ??= this.#verify();
    }
    this.#closeIfExpired();
    return this.#state();
  }

  close(why: PeerClosing): void {
    this.#close(why, `the node has more than ${mostOfOwner} connections`);
  }

  async #verify(): Promise<PeerState> {
    this.accept(await this.#gate.verify(this.leaf));
    this.#verifying = undefined;
    return this.#state();
  }

  #state(): PeerState {
    const reason = this.#closed;
    return reason === undefined ? { kind: "accepted" } : { kind: "closed", reason };
  }

  /** Wakes at the expiry, or sooner because the wall clock may step. */
  #watchExpiry(): void {
    this.#closeIfExpired();
    this.#expiry.set(this.#expiresAt?.epochMilliseconds);
  }

  #closeIfExpired(): void {
    if (this.#expiresAt === undefined || !hasExpired(this.#expiresAt, this.#clock)) return;
    this.#close("expired", `the client certificate has expired at ${this.#expiresAt}`);
  }

  #close(why: PeerClosing, reason: string): void {
    if (this.#closed !== undefined) return;
    this[Symbol.dispose]();
    this.#closed = reason;
    // A node that opens too many connections would write a line for each of them.
    const level = why === "connections" ? "debug" : "info";
    logger[level]("closed a connection of {owner}: {reason}", {
      owner: this.#options.owner,
      reason,
    });
    this.#options.close(why);
  }

  [Symbol.dispose](): void {
    this.#expiry.set(undefined);
    this.#expiresAt = undefined;
    this.#closed ??= "the connection has closed";
    this.#options.release();
  }
}

function hasExpired(expiresAt: Temporal.Instant, clock: Clock): boolean {
  return Temporal.Instant.compare(expiresAt, clock.now()) <= 0;
}
