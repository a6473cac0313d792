import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Issuer } from "../x509/issuer.ts";
import { type EncodedPublicKey, randomSerialNumber, signLeaf } from "../x509/leaf_certificate.ts";
import type { CertificateNames } from "../x509/certificate_names.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import { backdateMs, wholeSeconds } from "./certificate_times.ts";
import { type CurrentCa, latestNotAfter, type SigningMaterial } from "../ca/current_ca.ts";

/** What a leaf is to certify, decided before. */
export interface LeafRequest {
  readonly publicKey: CryptoKey | EncodedPublicKey;
  readonly names: CertificateNames;
  /** Counts from now. */
  readonly validity: Temporal.Duration;
  readonly extendedKeyUsage: readonly ("serverAuth" | "clientAuth")[];
}

export interface SignedLeaf {
  readonly kind: "signed";
  readonly serialNumber: string;
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** DER, leaf first, without the root. */
  readonly chain: Uint8Array[];
  /** DER. */
  readonly trustBundle: Uint8Array[];
}

/** The shortest validity that can be asked for is 10 s, and whole seconds take up to one of them. */
const shortestMs = 9_000;

const logger = getLogger(["cert-service", "signing"]);

/** Signs leaves with the CA of the moment; none outlives the CA. */
export class LeafSigner {
  readonly #currentCa: CurrentCa;
  readonly #clock: Clock;
  /** Signs; the runtime's own unless given. */
  readonly #engine: SignatureEngine | undefined;
  readonly #warned = new WeakSet<Issuer>();
  #shortened = 0;

  constructor(options: {
    currentCa: CurrentCa;
    clock: Clock;
    engine?: SignatureEngine | undefined;
  }) {
    this.#currentCa = options.currentCa;
    this.#clock = options.clock;
    this.#engine = options.engine;
  }

  /** How many leaves were given less than their validity, because the CA ends sooner. */
  get shortened(): number {
    return this.#shortened;
  }

  /** A leaf with a new random serial number; `unavailable` when there is no CA, or it has expired or is about to. */
  async sign(
    order: LeafRequest,
  ): Promise<SignedLeaf | { readonly kind: "unavailable"; readonly reason: string }> {
    const { material, unavailableReason } = this.#currentCa;
    if (material === undefined) return { kind: "unavailable", reason: unavailableReason };
    const now = this.#clock.now();
    const notBefore = wholeSeconds(now.epochMilliseconds - backdateMs);
    const notAfter = wholeSeconds(this.#end(now.add(order.validity), material).epochMilliseconds);
    if (notAfter.epochMilliseconds - now.epochMilliseconds < shortestMs) {
      const ends = latestNotAfter(material);
      return { kind: "unavailable", reason: `the CA is valid until ${ends}; replace it` };
    }
    const { names, publicKey } = order;
    const serialNumber = randomSerialNumber();
    const extendedKeyUsage = [...order.extendedKeyUsage];
    const template = { ...names, publicKey, serialNumber, notBefore, notAfter, extendedKeyUsage };
    const leaf = await signLeaf(material.issuer, template, this.#engine);
    return {
      kind: "signed",
      serialNumber,
      notBefore,
      notAfter,
      chain: [leaf, ...material.issuer.chain.map(({ der }) => der)],
      trustBundle: material.anchors.map(({ der }) => der),
    };
  }

  #end(wanted: Temporal.Instant, material: SigningMaterial): Temporal.Instant {
    const last = latestNotAfter(material);
    if (Temporal.Instant.compare(wanted, last) <= 0) return wanted;
    this.#shortened++;
    if (!this.#warned.has(material.issuer)) {
      this.#warned.add(material.issuer);
      logger.warn(
        "the CA is valid until {notAfter} and no longer outlives what it signs: renew it",
        { notAfter: String(last) },
      );
    }
    return last;
  }
}
