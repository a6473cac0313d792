import { loadCa, type LoadedCa } from "../../../src/service/ca/loaded_ca.ts";
import type {
  CaSource,
  CaSourceContent,
  CaSourceState,
} from "../../../src/service/ca/ca_source.ts";
import type {
  SharedDocument,
  SharedDocumentContent,
} from "../../../src/service/documents/shared_document.ts";
import { nextTrustState as transition } from "../../../src/service/ca/rotation.ts";
import type { TrustState } from "../../../src/service/ca/trust_state.ts";
import { changes, Listeners } from "../../../src/shared/scheduler/listeners.ts";
import { createCa } from "../../../src/service/admin/init_ca.ts";

export const start = Temporal.Instant.from("2026-03-01T12:00:00Z");

/** The settings of a rotation in the tests of its rules. */
export const settings = {
  delay: Temporal.Duration.from({ minutes: 10 }),
  longestValidity: Temporal.Duration.from({ hours: 720 }),
};

/** The same CA, in a Secret that marks the key of the one before it as compromised. */
export function compromised(ca: LoadedCa): LoadedCa {
  return { ...ca, compromised: true };
}

/** A CA as a Secret would hold it; P-256, so that it is made quickly. */
export async function makeSecret(
  commonName: string,
  given: Partial<CaSourceContent> & { days?: number; at?: Temporal.Instant } = {},
): Promise<CaSourceContent> {
  const { days = 3650, at = start, ...rest } = given;
  const root = await createCa({ algorithm: "ecdsa-p256", days, commonName }, at);
  return { ...root, furtherAnchorsPem: undefined, compromised: false, ...rest };
}

export async function load(secret: CaSourceContent): Promise<LoadedCa> {
  const loaded = await loadCa(secret, start);
  if (loaded.kind === "refused") throw new Error(loaded.problem);
  return loaded.ca;
}

/** The state after a candidate that is accepted. */
export function nextTrustState(...given: Parameters<typeof transition>): TrustState {
  const { state, rejection } = transition(...given);
  if (rejection !== undefined) throw new Error(rejection.problem);
  return state;
}

/** A source that reports what the test makes it report. */
export class ScriptedSource implements CaSource {
  readonly name = "Secret csi-cert-system/csi-ca-secret";
  readonly #states: CaSourceState[] = [];
  #wake = () => {};

  report(state: CaSourceState): void {
    this.#states.push(state);
    this.#wake();
  }

  hold(content: CaSourceContent): void {
    this.report({ kind: "present", content });
  }

  async *watch(signal: AbortSignal): AsyncGenerator<CaSourceState> {
    while (!signal.aborted) {
      const next = this.#states.shift();
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    }
  }
}

/** A document between replicas that can be unavailable, and that others can write first. */
export class ScriptedDocument implements SharedDocument {
  readonly name = "ConfigMap csi-cert-system/csi-cert-trust-bundle";
  failure: string | undefined;
  /** Runs between a reader's read and its write. */
  beforeWrite: ((document: ScriptedDocument) => void) | undefined;
  writes = 0;
  #versions = 0;
  #text: SharedDocumentContent | undefined;
  readonly #changed = new Listeners();

  get text(): SharedDocumentContent | undefined {
    return this.#text;
  }

  put(data: Record<string, string> | undefined): void {
    // As the API server does: no version occurs twice, also not after a deletion.
    const version = String(++this.#versions);
    this.#text = data && { data, version };
    this.#changed.call();
  }

  read(): Promise<SharedDocumentContent | undefined> {
    return this.failure === undefined
      ? Promise.resolve(this.#text)
      : Promise.reject(new Error(this.failure));
  }

  write(data: Readonly<Record<string, string>>, version: string | undefined): Promise<boolean> {
    if (this.failure !== undefined) return Promise.reject(new Error(this.failure));
    const beforeWrite = this.beforeWrite;
    this.beforeWrite = undefined;
    beforeWrite?.(this);
    if (this.#text?.version !== version) return Promise.resolve(false);
    this.writes++;
    this.put({ ...data });
    return Promise.resolve(true);
  }

  /** Calls back after each change until disposed. */
  onChange(listener: () => void): Disposable {
    return this.#changed.add(listener);
  }

  watch(signal: AbortSignal): AsyncGenerator<void> {
    return changes((listener) => this.onChange(listener), signal);
  }
}
