import { earlier } from "../../shared/scheduler/instants.ts";
import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { Certificate } from "../../shared/x509/certificate.ts";
import type { Issuer } from "../x509/issuer.ts";
import { computeFingerprint } from "../../shared/x509/fingerprint.ts";

/** The issuer that signs, and the roots that verify what it signs. */
export interface SigningMaterial {
  readonly issuer: Issuer;
  /** The trust bundle. */
  readonly anchors: readonly Certificate[];
  /** When the issuer's roots are removed from the trust bundle, if that is known. */
  readonly retireAt?: Temporal.Instant | undefined;
}

/** The CA that signs now. */
export class CurrentCa {
  #material: SigningMaterial | undefined;
  #anchors: readonly Certificate[];
  #unavailableReason = "the CA has not been loaded yet";
  readonly #listeners = new Listeners();

  /** Without material nothing is signed until `replace` is called. */
  constructor(material?: SigningMaterial) {
    this.#material = material;
    this.#anchors = material?.anchors ?? [];
  }

  /** Read once for each signature: issuer and anchors belong together. */
  get material(): SigningMaterial | undefined {
    return this.#material;
  }

  /** The trust bundle, which can be known before a CA can sign. */
  get anchors(): readonly Certificate[] {
    return this.#anchors;
  }

  /** Why nothing is signed while there is no material. */
  get unavailableReason(): string {
    return this.#unavailableReason;
  }

  /** Signs with this material from now on; the same material again changes nothing. */
  replace(material: SigningMaterial): void {
    if (this.#material !== undefined && isSame(this.#material, material)) return;
    this.#material = material;
    this.#anchors = material.anchors;
    this.#listeners.call();
  }

  /** Signs nothing from now on; callers receive the reason. */
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
 * The latest notAfter of what the CA signs: the earliest end of the certificates above it, or the
 * time at which its root is removed from the trust bundle.
 */
export function latestNotAfter({ issuer, retireAt }: SigningMaterial): Temporal.Instant {
  return [issuer.certificate, ...issuer.chain].map(({ notAfter }) => notAfter)
    .concat(retireAt ?? [])
    .reduce(earlier);
}

function isSame(first: SigningMaterial, second: SigningMaterial): boolean {
  return first.issuer === second.issuer &&
    String(first.retireAt) === String(second.retireAt) &&
    computeFingerprint(first.anchors) === computeFingerprint(second.anchors);
}
