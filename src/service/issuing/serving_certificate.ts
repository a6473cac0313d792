import { exportPrivateKey, generateKeyPair } from "../../shared/crypto/key_pairs.ts";
import { encodePem } from "../../shared/crypto/pem.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { identityRenewalFraction } from "../../shared/x509/identity_renewal.ts";
import type { CurrentCa } from "../ca/current_ca.ts";
import { createSelfSignedCa } from "../x509/self_signed_ca.ts";
import type { LeafSigner } from "./leaf_signer.ts";

/** A key pair and its chain, PEM. */
export interface ServingKeyPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

const jobKey = "serving-certificate";
const lifetime = Temporal.Duration.from({ hours: 24 });

/**
 * The service's own TLS certificate, signed by the CA and renewed; its key exists only in memory.
 * Before there is a CA it is a self-signed placeholder, which no client trusts, so that the port can
 * be open.
 */
export class ServingCertificate implements AsyncDisposable {
  readonly #name: string;
  readonly #currentCa: CurrentCa;
  readonly #signer: LeafSigner;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  readonly #listeners = new Listeners();
  #pair: ServingKeyPair;
  #isPlaceholder: boolean;
  #subscription: Disposable | undefined;

  private constructor(
    options: ServingCertificateOptions,
    pair: ServingKeyPair,
    isPlaceholder: boolean,
  ) {
    this.#name = options.servingName;
    this.#currentCa = options.currentCa;
    this.#signer = options.signer;
    this.#scheduler = options.scheduler;
    this.#clock = options.clock;
    this.#pair = pair;
    this.#isPlaceholder = isPlaceholder;
  }

  /** Issues the first certificate and renews it until disposed; rejects when the CA has expired. */
  static async start(options: ServingCertificateOptions): Promise<ServingCertificate> {
    const { servingName, currentCa, signer, scheduler, clock } = options;
    const { material } = currentCa;
    const now = clock.now();
    const first =
      await (material === undefined
        ? selfSignedPlaceholder(now)
        : makePair(servingName, signer, now));
    const serving = new ServingCertificate(options, first.pair, material === undefined);
    const renew = () => serving.#renew();
    // The CA can have been replaced before the listener was added.
    const isStale = currentCa.material !== material;
    scheduler.schedule(jobKey, isStale ? clock.now() : first.renewTime, renew);
    serving.#subscription = currentCa.onChange(() => {
      scheduler.schedule(jobKey, clock.now(), renew);
    });
    return serving;
  }

  /** Whether the CA has signed it, so that clients can trust it. */
  get isSigned(): boolean {
    return !this.#isPlaceholder;
  }

  /** The pair to serve with now. */
  current(): ServingKeyPair {
    return this.#pair;
  }

  /** Calls back after each renewal, until disposed. */
  onChange(listener: () => void): Disposable {
    return this.#listeners.add(listener);
  }

  /** Stops renewing. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription?.[Symbol.dispose]();
    await this.#scheduler.cancel(jobKey);
  }

  async #renew(): Promise<Temporal.Instant | undefined> {
    // The next CA schedules a renewal.
    if (this.#currentCa.material === undefined) return undefined;
    const { pair, renewTime } = await makePair(this.#name, this.#signer, this.#clock.now());
    this.#pair = pair;
    this.#isPlaceholder = false;
    this.#listeners.call();
    return renewTime;
  }
}

export interface ServingCertificateOptions {
  /** The name that clients expect. */
  readonly servingName: string;
  readonly currentCa: CurrentCa;
  readonly signer: LeafSigner;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
}

interface FreshPair {
  readonly pair: ServingKeyPair;
  readonly renewTime: Temporal.Instant;
}

/** Makes the self-signed certificate that is used before the CA can sign one. */
async function selfSignedPlaceholder(now: Temporal.Instant): Promise<FreshPair> {
  const notBefore = now.round({ smallestUnit: "second", roundingMode: "floor" });
  const notAfter = notBefore.add({ hours: 24 * 365 });
  const commonName = "cert-service without a CA";
  const pair = await createSelfSignedCa({
    algorithm: "ecdsa-p256",
    commonName,
    notBefore,
    notAfter,
  });
  return { pair, renewTime: notAfter };
}

async function makePair(
  name: string,
  signer: LeafSigner,
  now: Temporal.Instant,
): Promise<FreshPair> {
  const keyPair = await generateKeyPair("ecdsa-p256");
  const signed = await signer.sign({
    publicKey: keyPair.publicKey,
    names: {
      commonName: name,
      organizationalUnits: [],
      dnsNames: [name],
      ipAddresses: [],
      uris: [],
    },
    validity: lifetime,
    extendedKeyUsage: ["serverAuth"],
  });
  if (signed.kind !== "signed") {
    const reason = signed.kind === "unavailable"
      ? signed.reason
      : `the CA cannot certify ${signed.names.map(({ name }) => name).join(", ")}`;
    throw new Error(`cannot issue the serving certificate: ${reason}`);
  }
  const pair = {
    certificatePem: signed.chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
    privateKeyPem: await exportPrivateKey(keyPair.privateKey),
  };
  const lifetimeMs = now.until(signed.notAfter).total("milliseconds");
  return {
    pair,
    renewTime: now.add({ milliseconds: Math.round(lifetimeMs * identityRenewalFraction) }),
  };
}
