import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { DenialKind } from "./denial_format.ts";

/** The list is full: the denial that was to be added is not in it. */
export class DenialsFullError extends Error {}

/** How a text of the document differs from what this replica knows. */
export interface ReadDenials<D> {
  /** The known denials that the text does not contain. */
  readonly missing: readonly D[];
  /** Whether the text lacks something that is known: whole denials, or parts of them. */
  readonly isIncomplete: boolean;
}

/** The denials of one kind that this replica knows. Reading the document never removes any. */
export class DenialList<D extends { readonly at: Temporal.Instant }> {
  readonly #kind: DenialKind<D>;
  #known: ReadonlyMap<string, D> = new Map();
  #isRead = false;
  #problem: string | undefined;
  readonly #listeners = new Listeners();

  constructor(kind: DenialKind<D>) {
    this.#kind = kind;
  }

  /** Its key in the document's data. */
  get key(): string {
    return this.#kind.key;
  }

  /** Whether a text has been read. */
  get isRead(): boolean {
    return this.#isRead;
  }

  /** Why the newest text cannot be read. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get(name: string): D | undefined {
    return this.#known.get(name);
  }

  values(): Iterable<D> {
    return this.#known.values();
  }

  /** Calls back when other subjects are denied than before, or since another time, until disposed. */
  onChange(listener: () => void): Disposable {
    return this.#listeners.add(listener);
  }

  /** Adds the document's denials to those that are known; undefined for a text that cannot be read. */
  read(text: string | undefined): ReadDenials<D> | undefined {
    const parsed = this.#kind.parse(text);
    if (parsed.kind === "refused") {
      this.#problem = parsed.problem;
      return undefined;
    }
    this.#problem = undefined;
    this.#isRead = true;
    const difference = this.#addKnown(parsed.denials);
    this.replace(parsed.denials);
    return difference;
  }

  /**
   * Computes what the document is to contain: its denials and those that are known, changed. Throws
   * when its text cannot be read, because the denials in it would be lost, and when it gets too long.
   */
  change(
    text: string | undefined,
    change: (denials: Map<string, D>) => void,
    maxBytes: number,
  ): { readonly denials: Map<string, D>; readonly text: string } {
    const parsed = this.#kind.parse(text);
    if (parsed.kind === "refused") throw new Error(parsed.problem);
    const { denials } = parsed;
    this.#addKnown(denials);
    change(denials);
    const changed = this.#kind.format(denials.values());
    if (changed.length > maxBytes) {
      throw new DenialsFullError(`${denials.size - 1} ${this.#kind.isFull}`);
    }
    return { denials, text: changed };
  }

  /** Replaces what is known by what the document contains now. */
  replace(denials: ReadonlyMap<string, D>): void {
    const known = this.#known;
    this.#known = denials;
    const isChanged = denials.size !== known.size ||
      [...denials].some(([name, { at }]) => !known.get(name)?.at.equals(at));
    if (isChanged) this.#listeners.call();
  }

  #addKnown(denials: Map<string, D>): ReadDenials<D> {
    const missing: D[] = [];
    let isIncomplete = false;
    for (const [name, known] of this.#known) {
      const read = denials.get(name);
      const merged = read === undefined ? known : this.#kind.merge(read, known);
      if (merged === read) continue;
      if (read === undefined) missing.push(known);
      isIncomplete = true;
      denials.set(name, merged);
    }
    return { missing, isIncomplete };
  }
}
