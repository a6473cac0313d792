import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Issuer } from "../x509/issuer.ts";
import { type EncodedPublicKey, randomSerialNumber, signLeaf } from "../x509/leaf_certificate.ts";
import { type OutsideName, outsideNames } from "../x509/ca_names.ts";
import type { CertificateNames } from "../x509/certificate_names.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import { backdateMs, wholeSeconds } from "./certificate_times.ts";
import { type CurrentCa, latestNotAfter, type SigningMaterial } from "../ca/current_ca.ts";

/** The content of a leaf certificate, as the policy has decided it. */
export interface LeafContent {
  readonly publicKey: CryptoKey | EncodedPublicKey;
  readonly names: CertificateNames;
  /** Counts from now. */
  readonly validity: Temporal.Duration;
  readonly extendedKeyUsage: readonly ("serverAuth" | "clientAuth")[];
  /** DNS names that are left out where the CA's name constraints do not permit them. */
  readonly optionalDnsNames?: ReadonlySet<string> | undefined;
}

export interface SignedLeaf {
  readonly kind: "signed";
  readonly serialNumber: string;
  /** Those of the certificate. */
  readonly names: CertificateNames;
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** DER, leaf first, without the root. */
  readonly chain: Uint8Array[];
  /** DER. */
  readonly trustBundle: Uint8Array[];
}

export type SigningOutcome =
  | SignedLeaf
  | { readonly kind: "unavailable"; readonly reason: string }
  /** The CA's name constraints do not permit these names. */
  | { readonly kind: "outside"; readonly names: readonly OutsideName[] };

/** The shortest validity that can be requested is 10 s, and rounding to whole seconds removes up to one. */
const shortestMs = 9_000;

const logger = getLogger(["cert-service", "signing"]);

/** Signs leaves with the current CA; none is valid for longer than the CA. */
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

  /** How many leaves have a shorter validity than requested, because the CA expires before. */
  get shortened(): number {
    return this.#shortened;
  }

  /** Signs a leaf with a new random serial number; `unavailable` when there is no CA, or it expires within seconds. */
  async sign(content: LeafContent): Promise<SigningOutcome> {
    const { material, unavailableReason } = this.#currentCa;
    if (material === undefined) return { kind: "unavailable", reason: unavailableReason };
    const now = this.#clock.now();
    const notBefore = wholeSeconds(now.epochMilliseconds - backdateMs);
    const notAfter = wholeSeconds(
      this.#limitedByCa(now.add(content.validity), material).epochMilliseconds,
    );
    if (notAfter.epochMilliseconds - now.epochMilliseconds < shortestMs) {
      const ends = latestNotAfter(material);
      return { kind: "unavailable", reason: `the CA is valid until ${ends}; replace it` };
    }
    const fitted = fitNames(content, material.issuer);
    if ("kind" in fitted) return fitted;
    const { names } = fitted;
    const { publicKey } = content;
    const serialNumber = randomSerialNumber();
    const extendedKeyUsage = [...content.extendedKeyUsage];
    const template = { ...names, publicKey, serialNumber, notBefore, notAfter, extendedKeyUsage };
    const leaf = await signLeaf(material.issuer, template, this.#engine);
    return {
      kind: "signed",
      serialNumber,
      names,
      notBefore,
      notAfter,
      chain: [leaf, ...material.issuer.chain.map(({ der }) => der)],
      trustBundle: material.anchors.map(({ der }) => der),
    };
  }

  /** The requested end, or that of the CA when it is earlier. */
  #limitedByCa(requested: Temporal.Instant, material: SigningMaterial): Temporal.Instant {
    const last = latestNotAfter(material);
    if (Temporal.Instant.compare(requested, last) <= 0) return requested;
    this.#shortened++;
    if (!this.#warned.has(material.issuer)) {
      this.#warned.add(material.issuer);
      logger.warn(
        "certificates are shortened, because the CA is valid until {notAfter} only: replace it",
        { notAfter: String(last) },
      );
    }
    return last;
  }
}

/** The names without the optional ones that the CA cannot certify, or those that it cannot certify. */
function fitNames(
  { names, optionalDnsNames }: LeafContent,
  { nameConstraints }: Issuer,
): { names: CertificateNames } | SigningOutcome & { kind: "outside" } {
  if (nameConstraints.length === 0) return { names };
  const omitted = new Set(
    outsideNames(nameConstraints, names)
      .filter(({ kind, name }) => kind === "dns" && optionalDnsNames?.has(name))
      .map(({ name }) => name),
  );
  const kept = { ...names, dnsNames: names.dnsNames.filter((name) => !omitted.has(name)) };
  const outside = outsideNames(nameConstraints, kept);
  return outside.length === 0 ? { names: kept } : { kind: "outside", names: outside };
}
