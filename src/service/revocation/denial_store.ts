import { Listeners } from "../../shared/scheduler/listeners.ts";

/** One pod that gets no further certificate. */
export interface Denial {
  readonly podUid: string;
  readonly at: Temporal.Instant;
  /** When it can be forgotten, because no certificate was requested for the pod for so long. */
  readonly forgetAt: Temporal.Instant;
}

/** One node whose client certificates of before an instant are rejected. */
export interface NodeDenial {
  readonly node: string;
  readonly at: Temporal.Instant;
  /** When it can be forgotten, because those certificates have expired. */
  readonly forgetAt: Temporal.Instant;
}

/**
 * Where denials are kept. A durable one loads all before the service signs anything, has written a
 * denial before `save` resolves, and reads what other replicas wrote within seconds: `get` is called
 * before each signature.
 */
export interface DenialStore {
  /** Whether all denials are known, so that something may be signed. */
  readonly isLoaded: boolean;
  /** Adds the denial, or replaces the pod's former one. */
  save(denial: Denial): Promise<void>;
  get(podUid: string): Denial | undefined;
  /** Adds the denial, or replaces the node's former one. */
  saveNode(denial: NodeDenial): Promise<void>;
  getNode(node: string): NodeDenial | undefined;
  /** Calls back when the denials of nodes have changed. */
  onNodesChange(listener: () => void): Disposable;
  /** Forgets the denials whose `forgetAt` has passed. */
  forget(before: Temporal.Instant): void;
}

/** Keeps denials for as long as the process lives. */
export class MemoryDenialStore implements DenialStore {
  readonly isLoaded = true;
  readonly #denials = new Map<string, Denial>();
  readonly #nodes = new Map<string, NodeDenial>();
  readonly #listeners = new Listeners();

  get size(): number {
    return this.#denials.size;
  }

  save(denial: Denial): Promise<void> {
    this.#denials.set(denial.podUid, denial);
    return Promise.resolve();
  }

  get(podUid: string): Denial | undefined {
    return this.#denials.get(podUid);
  }

  saveNode(denial: NodeDenial): Promise<void> {
    this.#nodes.set(denial.node, denial);
    this.#listeners.call();
    return Promise.resolve();
  }

  getNode(node: string): NodeDenial | undefined {
    return this.#nodes.get(node);
  }

  onNodesChange(listener: () => void): Disposable {
    return this.#listeners.add(listener);
  }

  forget(before: Temporal.Instant): void {
    for (const denials of [this.#denials, this.#nodes]) dropExpired(denials, before);
  }
}

/** Removes the denials whose `forgetAt` is before an instant. */
export function dropExpired(
  denials: Map<string, { readonly forgetAt: Temporal.Instant }>,
  before: Temporal.Instant,
): void {
  for (const [key, { forgetAt }] of denials) {
    if (Temporal.Instant.compare(forgetAt, before) < 0) denials.delete(key);
  }
}
