import type { Certificate } from "../x509/certificate.ts";
import type { Issuer } from "../x509/issuer.ts";

/** What signs, and what those who verify trust. */
export interface CaMaterial {
  readonly issuer: Issuer;
  /** The trust bundle. */
  readonly anchors: readonly Certificate[];
}

/** The CA that signs now. */
export class CertificateAuthority {
  #material: CaMaterial;
  readonly #listeners = new Set<() => void>();

  constructor(material: CaMaterial) {
    this.#material = material;
  }

  /** One consistent pair: whoever signs takes it once and answers with its anchors. */
  get material(): CaMaterial {
    return this.#material;
  }

  /** Signs with another key, or publishes other anchors, from now on. */
  replace(material: CaMaterial): void {
    this.#material = material;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls back after each replacement, until disposed. */
  onChange(listener: () => void): Disposable {
    // Wrapped, so that one function given twice is called twice and disposed of once each.
    const own = () => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }
}

/** The last instant at which what the CA signs can verify: no certificate above the leaf outlives it. */
export function lastInstant({ issuer }: CaMaterial): Temporal.Instant {
  return [issuer.certificate, ...issuer.chain]
    .map(({ notAfter }) => notAfter)
    .reduce((first, next) => Temporal.Instant.compare(next, first) < 0 ? next : first);
}
