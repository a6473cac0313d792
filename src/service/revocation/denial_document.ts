import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import type { Denial, DenialStore } from "./denial_store.ts";

const dataKey = "denials.json";
/** Others that write at the same time have written after so many tries, or something is amiss. */
const mostTries = 20;
/** A ConfigMap holds 1 MiB, and one denial at most 230 bytes (a uid has up to 128). */
const mostDenials = 4_000;

const jobKey = "denials";

export interface DocumentDenialStoreOptions {
  readonly document: SharedDocument;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
}

/** Keeps denials in a document that all replicas read: durable before `save` resolves. */
export class DocumentDenialStore implements DenialStore {
  readonly #options: DocumentDenialStoreOptions;
  readonly #document: SharedDocument;
  #denials: ReadonlyMap<string, Denial> = new Map();
  #forgetBefore = Temporal.Instant.fromEpochMilliseconds(0);
  #isLoaded = false;
  #problem: string | undefined;
  readonly #loaded = Promise.withResolvers<void>();

  constructor(options: DocumentDenialStoreOptions) {
    this.#options = options;
    this.#document = options.document;
  }

  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** Resolves when all denials have been read for the first time. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Why the newest denials are not known. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Reads all, again after each change, until the signal is aborted. */
  async follow(signal: AbortSignal): Promise<void> {
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
      const text = await this.#document.read(signal);
      const read = parseDenials(text?.data[dataKey]);
      if (read === undefined) throw new Error(`${dataKey} is broken: mend it, or remove it`);
      this.#denials = read;
      this.#problem = undefined;
      this.#isLoaded = true;
      this.#loaded.resolve();
    } catch (error) {
      if (!signal.aborted) this.#problem = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  get(podUid: string): Denial | undefined {
    return this.#denials.get(podUid);
  }

  /** Rejects when it cannot be written, or when there are as many as a document holds. */
  async save(denial: Denial): Promise<void> {
    const { signal } = new AbortController();
    for (let tries = 0; tries < mostTries; tries++) {
      const text = await this.#document.read(signal);
      const denials = new Map(parseDenials(text?.data[dataKey]) ?? this.#denials);
      for (const { podUid, forgetAt } of denials.values()) {
        if (Temporal.Instant.compare(forgetAt, this.#forgetBefore) < 0) denials.delete(podUid);
      }
      denials.set(denial.podUid, merge(denials.get(denial.podUid), denial));
      if (denials.size > mostDenials) {
        throw new Error(`${mostDenials} pods are denied, and their list can hold no more`);
      }
      const data = { ...text?.data, [dataKey]: formatDenials(denials.values()) };
      if (await this.#document.write(data, text?.version, signal)) {
        this.#denials = denials;
        return;
      }
    }
    throw new Error("the denials' document changes faster than it can be written");
  }

  /** They leave the document with the next denial that is written. */
  forget(before: Temporal.Instant): void {
    this.#forgetBefore = before;
    const left = [...this.#denials].filter(([, { forgetAt }]) =>
      Temporal.Instant.compare(forgetAt, before) >= 0
    );
    this.#denials = new Map(left);
  }
}

/** Denied since the first, until the last. */
function merge(known: Denial | undefined, denial: Denial): Denial {
  if (known === undefined) return denial;
  const at = Temporal.Instant.compare(known.at, denial.at) < 0 ? known.at : denial.at;
  const forgetAt = Temporal.Instant.compare(known.forgetAt, denial.forgetAt) > 0
    ? known.forgetAt
    : denial.forgetAt;
  return { podUid: denial.podUid, at, forgetAt };
}

function formatDenials(denials: Iterable<Denial>): string {
  const list = [...denials].map(({ podUid, at, forgetAt }) => ({
    podUid,
    at: at.toString(),
    until: forgetAt.toString(),
  }));
  return JSON.stringify({ version: 1, denials: list });
}

/** Undefined where the text is not ours. */
function parseDenials(text: string | undefined): Map<string, Denial> | undefined {
  if (text === undefined || text.trim() === "") return new Map();
  try {
    const { version, denials } = JSON.parse(text);
    if (version !== 1) return undefined;
    const read = new Map<string, Denial>();
    for (const { podUid, at, until } of denials) {
      if (typeof podUid !== "string") return undefined;
      read.set(podUid, {
        podUid,
        at: Temporal.Instant.from(at),
        forgetAt: Temporal.Instant.from(until),
      });
    }
    return read;
  } catch {
    return undefined;
  }
}
