import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { Certificate } from "../../shared/x509/certificate.ts";
import type { Issuer } from "../x509/issuer.ts";

/** What signs, and what those who verify trust. */
export interface SigningMaterial {
  readonly issuer: Issuer;
  /** The trust bundle. */
  readonly anchors: readonly Certificate[];
  /** When the roots that the issuer leads to leave the bundle, if that is known. */
  readonly retireAt?: Temporal.Instant | undefined;
}

/** The CA that signs now. */
export class CurrentCa {
  #material: SigningMaterial | undefined;
  #anchors: readonly Certificate[];
  #unavailableReason = "the CA is not there yet";
  readonly #listeners = new Listeners();

  /** Without a CA nothing is signed until `replace` brings one. */
  constructor(material?: SigningMaterial) {
    this.#material = material;
    this.#anchors = material?.anchors ?? [];
  }

  /** One consistent pair: whoever signs takes it once and answers with its anchors. */
  get material(): SigningMaterial | undefined {
    return this.#material;
  }

  /** The trust bundle, which can be known before there is a CA that signs. */
  get anchors(): readonly Certificate[] {
    return this.#anchors;
  }

  /** Why nothing is signed while there is no material. */
  get unavailableReason(): string {
    return this.#unavailableReason;
  }

  /** Signs with another key, or publishes other anchors, from now on. */
  replace(material: SigningMaterial): void {
    this.#material = material;
    this.#anchors = material.anchors;
    this.#listeners.call();
  }

  /** Signs nothing from now on, for a reason that callers may see. */
  setUnavailable(reason: string, anchors: readonly Certificate[]): void {
    this.#material = undefined;
    this.#unavailableReason = reason;
    this.#anchors = anchors;
    this.#listeners.call();
  }

  /** Calls back after each change, until disposed. */
  onChange(listener: () => void): Disposable {
    return this.#listeners.add(listener);
  }
}

/**
 * The last instant at which what the CA signs can verify: no certificate above the leaf outlives
 * it, nor does its root's place in the trust bundle.
 */
export function latestNotAfter({ issuer, retireAt }: SigningMaterial): Temporal.Instant {
  return [issuer.certificate, ...issuer.chain].map(({ notAfter }) => notAfter)
    .concat(retireAt ?? [])
    .reduce((first, next) => Temporal.Instant.compare(next, first) < 0 ? next : first);
}
