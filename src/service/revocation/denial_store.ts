import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { Semaphore } from "../../shared/scheduler/semaphore.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { installed } from "../../shared/text/product_names.ts";
import { type SharedDocument, updateDocument } from "../documents/shared_document.ts";
import type { PodDirectory } from "../access/pod_authorization.ts";
import { type Denial, type NodeDenial, nodeDenials, podDenials } from "./denial_format.ts";
import { DenialList, type ReadDenials } from "./denial_list.ts";
import { askDeniedPods } from "./denied_pods.ts";

const jobKey = "denials";

const logger = getLogger(["cert-service", "revocation"]);

export interface DenialStoreOptions {
  readonly document: SharedDocument;
  /** Says whether the pod of a denial that the document lacks is gone; absent: no denial ends. */
  readonly pods?: PodDirectory | undefined;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
}

/**
 * Keeps denials in a document that all replicas read. All are loaded before the service signs
 * anything, a denial is written before `save` resolves, and what other replicas write is read within
 * seconds. What this replica knows is never lost with the document: a denial that is missing there is
 * written again, unless the API server says that its pod is gone.
 */
export class DenialStore {
  readonly #options: DenialStoreOptions;
  readonly #document: SharedDocument;
  /**
   * Held from a read or write of the document until the result is in memory: a late answer must not
   * replace a newer one, or a denied pod would receive a certificate.
   */
  readonly #lock = new Semaphore(1);
  readonly #pods = new DenialList(podDenials);
  readonly #nodes = new DenialList(nodeDenials);
  #problem: string | undefined;
  readonly #loaded = Promise.withResolvers<void>();

  constructor(options: DenialStoreOptions) {
    this.#options = options;
    this.#document = options.document;
  }

  /** Whether all denials are known, so that certificates may be signed. */
  get isLoaded(): boolean {
    return this.#pods.isRead && this.#nodes.isRead;
  }

  /** Resolves when all denials have been read for the first time. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Why the newest denials could not be read. */
  get problem(): string | undefined {
    return this.#problem ?? this.#pods.problem ?? this.#nodes.problem;
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
      const { isMissing, pods, nodes } = await this.#read(signal);
      this.#problem = undefined;
      if (this.isLoaded) this.#loaded.resolve();
      if (pods?.isIncomplete) await this.#writePodsAgain(pods, isMissing, signal);
      if (nodes?.isIncomplete) {
        await this.#update(this.#nodes, (denials) => this.#dropForgotten(denials), signal);
      }
    } catch (error) {
      if (!signal.aborted) this.#problem = errorMessage(error);
      throw error;
    }
    if (this.problem !== undefined) throw new Error(this.problem);
  }

  async #read(signal: AbortSignal) {
    using _lock = await this.#lock.acquire(signal);
    const content = await this.#document.read(signal);
    const pods = this.#pods.read(content?.data[podDenials.key]);
    const nodes = this.#nodes.read(content?.data[nodeDenials.key]);
    return { isMissing: content === undefined, pods, nodes };
  }

  /**
   * Another replica removes a denial from the document when the pod is gone. One whose pod is not gone
   * was removed by other means. A deleted document is written again at once.
   */
  async #writePodsAgain(
    { missing }: ReadDenials<Denial>,
    isMissing: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { pods } = this.#options;
    const asked = isMissing || pods === undefined ? [] : missing;
    const { gone } = pods ? await askDeniedPods(pods, asked, signal) : { gone: new Set<string>() };
    await this.changePods((denials) => gone.forEach((uid) => denials.delete(uid)), signal);
    const count = missing.length - gone.size;
    if (count === 0) return;
    logger.warn("{count} denials of pods were removed from {document}, and are written again", {
      count,
      document: `${installed.denials}`,
    });
  }

  /** Called before each signature. */
  get(podUid: string): Denial | undefined {
    return this.#pods.get(podUid);
  }

  /** All denied pods. */
  pods(): Denial[] {
    return [...this.#pods.values()];
  }

  getNode(node: string): NodeDenial | undefined {
    return this.#nodes.get(node);
  }

  /** Calls back when other pods are denied than before, until disposed. */
  onPodsChange(listener: () => void): Disposable {
    return this.#pods.onChange(listener);
  }

  /** Calls back when the denials of nodes have changed, until disposed. */
  onNodesChange(listener: () => void): Disposable {
    return this.#nodes.onChange(listener);
  }

  /**
   * Adds the denial, or extends the pod's former one. Rejects when it cannot be written, when the
   * document cannot be read, and with DenialsFullError when there are as many as a document holds.
   */
  async save(denial: Denial): Promise<void> {
    const add = (denials: Map<string, Denial>) => {
      const known = denials.get(denial.podUid);
      denials.set(denial.podUid, known === undefined ? denial : podDenials.merge(known, denial));
    };
    await this.#update(this.#pods, add, uninterrupted(), podDenials.maxBytes);
  }

  /** Adds the denial, or extends the node's former one. Rejects as `save` does. */
  async saveNode(denial: NodeDenial): Promise<void> {
    const add = (denials: Map<string, NodeDenial>) => {
      this.#dropForgotten(denials);
      const known = denials.get(denial.node);
      denials.set(denial.node, known === undefined ? denial : nodeDenials.merge(known, denial));
    };
    await this.#update(this.#nodes, add, uninterrupted(), nodeDenials.maxBytes);
  }

  /** Changes the denials of pods. Rejects when the document cannot be read or written. */
  async changePods(
    change: (denials: Map<string, Denial>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#update(this.#pods, change, signal);
  }

  /** Changes the text of one list, and leaves the others as they are. */
  async #update<D extends { readonly at: Temporal.Instant }>(
    list: DenialList<D>,
    change: (denials: Map<string, D>) => void,
    signal: AbortSignal,
    maxBytes = Infinity,
  ): Promise<void> {
    using _lock = await this.#lock.acquire(signal);
    const denials = await updateDocument(this.#document, (content) => {
      const before = content?.data[list.key];
      const { denials, text } = list.change(before, change, maxBytes);
      const data = text === before ? undefined : { ...content?.data, [list.key]: text };
      return { value: denials, data };
    }, signal);
    list.replace(denials);
  }

  /** The denial of a node ends by time alone: the certificates that it is about have expired. */
  #dropForgotten(denials: Map<string, NodeDenial>): void {
    const now = this.#options.clock.now();
    for (const [node, { forgetAt }] of denials) {
      if (Temporal.Instant.compare(forgetAt, now) < 0) denials.delete(node);
    }
  }
}

/** A revocation is not cancelled with its call: what it has written would not be in memory. */
function uninterrupted(): AbortSignal {
  return new AbortController().signal;
}
