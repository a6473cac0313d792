import type { Clock } from "../../shared/scheduler/clock.ts";
import { earlier, later } from "../../shared/scheduler/instants.ts";
import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { Semaphore } from "../../shared/scheduler/semaphore.ts";
import { type SharedDocument, updateDocument } from "../documents/shared_document.ts";
import {
  type Denial,
  formatDenials,
  formatNodeDenials,
  type NodeDenial,
  nodesKey,
  parseDenials,
  parseNodeDenials,
  podsKey,
} from "./denial_format.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

/**
 * A ConfigMap holds 1 MiB; the denial of a pod has at most 230 bytes (a uid has up to 128), that of
 * a node 350 (a name has up to 253).
 */
const maxDenials = 4_000;
const maxNodeDenials = 300;

const jobKey = "denials";

export interface DenialStoreOptions {
  readonly document: SharedDocument;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
}

/**
 * Keeps denials in a document that all replicas read. All are loaded before the service signs
 * anything, a denial is written before `save` resolves, and what other replicas write is read within
 * seconds.
 */
export class DenialStore {
  readonly #options: DenialStoreOptions;
  readonly #document: SharedDocument;
  /**
   * Held from a read or write of the document until the result is in memory: a late answer must not
   * replace a newer one, or a denied pod would receive a certificate.
   */
  readonly #lock = new Semaphore(1);
  #denials: Map<string, Denial> = new Map();
  #nodes: Map<string, NodeDenial> = new Map();
  readonly #nodesListeners = new Listeners();
  #forgetBefore = Temporal.Instant.fromEpochMilliseconds(0);
  #isLoaded = false;
  #problem: string | undefined;
  readonly #loaded = Promise.withResolvers<void>();

  constructor(options: DenialStoreOptions) {
    this.#options = options;
    this.#document = options.document;
  }

  /** Whether all denials are known, so that certificates may be signed. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** Resolves when all denials have been read for the first time. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Why the newest denials could not be read. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Reads the document, and again after each change, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    this.#refresh();
    for await (const _change of this.#document.watch(signal)) this.#refresh();
    await this.#options.scheduler.cancel(jobKey);
  }

  #refresh(): void {
    const { scheduler, clock } = this.#options;
    scheduler.schedule(jobKey, clock.now(), (signal) => this.#load(signal));
  }

  async #load(signal: AbortSignal): Promise<undefined> {
    try {
      using _lock = await this.#lock.acquire(signal);
      const content = await this.#document.read(signal);
      const denials = parseDenials(content?.data[podsKey]);
      if (denials === undefined) throw brokenError(podsKey);
      const nodes = parseNodeDenials(content?.data[nodesKey]);
      if (nodes === undefined) throw brokenError(nodesKey);
      this.#denials = denials;
      this.#setNodes(nodes);
      this.#problem = undefined;
      this.#isLoaded = true;
      this.#loaded.resolve();
    } catch (error) {
      if (!signal.aborted) this.#problem = errorMessage(error);
      throw error;
    }
  }

  /** Called before each signature. */
  get(podUid: string): Denial | undefined {
    return this.#denials.get(podUid);
  }

  getNode(node: string): NodeDenial | undefined {
    return this.#nodes.get(node);
  }

  /** Calls back when the denials of nodes have changed, until disposed. */
  onNodesChange(listener: () => void): Disposable {
    return this.#nodesListeners.add(listener);
  }

  /**
   * Adds the denial, or extends the pod's former one. Rejects when it cannot be written, or when there
   * are as many as a document holds.
   */
  async save(denial: Denial): Promise<void> {
    const { signal } = new AbortController();
    using _lock = await this.#lock.acquire(signal);
    this.#denials = await this.#update(podsKey, signal, (text) => {
      const denials = parseDenials(text) ?? this.#knownInstead(podsKey, this.#denials);
      dropExpired(denials, this.#forgetBefore);
      denials.set(denial.podUid, mergePod(denials.get(denial.podUid), denial));
      // After a restart, expired denials have not been dropped yet.
      if (denials.size > maxDenials) dropExpired(denials, this.#options.clock.now());
      if (denials.size > maxDenials) {
        throw new Error(
          `${maxDenials} pods are denied, which is the most that the list can contain`,
        );
      }
      return [denials, formatDenials(denials.values())];
    });
  }

  /** Adds the denial, or extends the node's former one. Rejects as `save` does. */
  async saveNode(denial: NodeDenial): Promise<void> {
    const { signal } = new AbortController();
    using _lock = await this.#lock.acquire(signal);
    const nodes = await this.#update(nodesKey, signal, (text) => {
      const nodes = parseNodeDenials(text) ?? this.#knownInstead(nodesKey, this.#nodes);
      dropExpired(nodes, this.#options.clock.now());
      nodes.set(denial.node, mergeNode(nodes.get(denial.node), denial));
      if (nodes.size > maxNodeDenials) {
        throw new Error(
          `${maxNodeDenials} nodes are denied, which is the most that the list can contain`,
        );
      }
      return [nodes, formatNodeDenials(nodes.values())];
    });
    this.#setNodes(nodes);
  }

  /** Replaces a broken text with the known denials; throws when they were never read. */
  #knownInstead<T>(key: string, known: ReadonlyMap<string, T>): Map<string, T> {
    if (!this.#isLoaded) throw brokenError(key);
    return new Map(known);
  }

  /** Changes the text of one key, and leaves the others as they are. */
  async #update<T>(
    key: string,
    signal: AbortSignal,
    change: (text: string | undefined) => [T, string],
  ): Promise<T> {
    return await updateDocument(this.#document, (content) => {
      const [value, text] = change(content?.data[key]);
      return { value, data: { ...content?.data, [key]: text } };
    }, signal);
  }

  #setNodes(nodes: Map<string, NodeDenial>): void {
    const isChanged = nodes.size !== this.#nodes.size ||
      [...nodes.values()].some(({ node, at }) => !this.#nodes.get(node)?.at.equals(at));
    this.#nodes = nodes;
    if (isChanged) this.#nodesListeners.call();
  }

  /**
   * Forgets the denials whose `forgetAt` is before an instant. They are removed from the document with
   * the next denial that is written.
   */
  forget(before: Temporal.Instant): void {
    this.#forgetBefore = before;
    for (const denials of [this.#denials, this.#nodes]) dropExpired(denials, before);
  }
}

/** Removes the denials whose `forgetAt` is before an instant. */
function dropExpired(
  denials: Map<string, { readonly forgetAt: Temporal.Instant }>,
  before: Temporal.Instant,
): void {
  for (const [key, { forgetAt }] of denials) {
    if (Temporal.Instant.compare(forgetAt, before) < 0) denials.delete(key);
  }
}

function brokenError(key: string): Error {
  return new Error(`${key} is broken: correct it, or remove it`);
}

/** A pod that is denied twice is denied from the earlier time until the later end. */
function mergePod(known: Denial | undefined, denial: Denial): Denial {
  if (known === undefined) return denial;
  const forgetAt = later(known.forgetAt, denial.forgetAt);
  return { ...denial, at: earlier(known.at, denial.at), forgetAt };
}

/** A node that is denied twice is denied with the later time: it may have received certificates since the first. */
function mergeNode(known: NodeDenial | undefined, denial: NodeDenial): NodeDenial {
  if (known === undefined) return denial;
  const forgetAt = later(known.forgetAt, denial.forgetAt);
  return { ...denial, at: later(known.at, denial.at), forgetAt };
}
