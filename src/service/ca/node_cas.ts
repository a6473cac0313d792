import { equalBytes } from "../../shared/crypto/der_reader.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { Certificate } from "../../shared/x509/certificate.ts";
import type { NodeCa } from "../x509/node_ca.ts";
import { nodeCertificateLifetime } from "../x509/node_certificate.ts";
import { untrustedCa } from "./compromised_cas.ts";
import type { LoadedCa } from "./loaded_ca.ts";
import { type HeldCas, leadsTo } from "./rotation.ts";
import type { TrustState } from "./trust_state.ts";

/** A replica whose clock is behind, or that switches late, issues with the previous node CA for some minutes more. */
const acceptedAfterRetirement = nodeCertificateLifetime.add({ minutes: 15 });

/** Which node CAs are in use. */
export interface AcceptedNodeCas {
  /** Of the CA that signs now. */
  readonly issuing: NodeCa | undefined;
  /** Of all CAs whose keys the replica holds. */
  readonly accepted: readonly NodeCa[];
  /** All others are rejected from now on: the key of the previous CA is compromised. */
  readonly othersAreCompromised: boolean;
}

interface Retired {
  readonly certificate: Certificate;
  readonly until: Temporal.Instant;
}

/**
 * The node CAs that are derived from the CA's key: the one that issues, and all that are accepted.
 * During a rotation those of both keys are accepted. After the switch the previous one is accepted
 * until what it issued has expired, although its key is gone, so that not all nodes attest at once.
 */
export class NodeCas {
  readonly #clock: Clock;
  readonly #listeners = new Listeners();
  #issuing: NodeCa | undefined;
  #held: readonly NodeCa[] = [];
  #retired: readonly Retired[] = [];
  #certificates: readonly Certificate[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get issuing(): NodeCa | undefined {
    return this.#issuing;
  }

  /** All that are accepted now; the same list until it changes. */
  get certificates(): readonly Certificate[] {
    const now = this.#clock.now();
    if (this.#retired.some(({ until }) => Temporal.Instant.compare(until, now) <= 0)) {
      this.#retired = this.#retired.filter(({ until }) => Temporal.Instant.compare(now, until) < 0);
      this.#list();
    }
    return this.#certificates;
  }

  /** Calls back each time other node CAs are accepted or another one issues, until disposed. */
  onChange(listener: () => void): Disposable {
    return this.#listeners.add(listener);
  }

  /** Issues with and accepts these from now on. */
  replace({ issuing, accepted, othersAreCompromised }: AcceptedNodeCas): void {
    const before = [this.#issuing?.certificate, ...this.certificates];
    const until = this.#clock.now().add(acceptedAfterRetirement);
    const held = distinct([...this.#held.filter((one) => isAmong(one, accepted)), ...accepted]);
    const leaving = this.#held.map(({ certificate }) => ({ certificate, until }));
    const retired = othersAreCompromised ? [] : [...this.#retired, ...leaving];
    this.#issuing = issuing && held.find((one) => isAmong(one, [issuing]));
    this.#held = held;
    this.#retired = retired.filter((one) => !isAmong(one, held));
    this.#list();
    const after = [this.#issuing?.certificate, ...this.#certificates];
    const isSame = before.length === after.length &&
      before.every((certificate, index) => certificate === after[index]);
    if (isSame) return;
    this.#listeners.call();
  }

  #list(): void {
    this.#certificates = [...this.#held, ...this.#retired].map(({ certificate }) => certificate);
  }
}

/**
 * The node CA of the CA that signs issues, and the node CAs of all keys that the replica holds are
 * accepted. That of a compromised CA is rejected at once, when the CA no longer signs.
 */
export function nodeCasOf(
  { untrusted, anchors }: TrustState,
  { latest, former, previous }: HeldCas,
  { signing, stopsSigning }: {
    /** The CA that signs now. */
    readonly signing: LoadedCa | undefined;
    /** The key of the CA that signed is compromised, and the CA that replaces it cannot be used. */
    readonly stopsSigning: boolean;
  },
): AcceptedNodeCas {
  const isUntrusted = (ca: LoadedCa | undefined) => ca && untrustedCa(untrusted, ca) !== undefined;
  const isCompromised = stopsSigning || latest?.compromised || isUntrusted(latest) ||
    isUntrusted(former) || isUntrusted(previous);
  const trustedFormer = former && leadsTo(former, anchors) ? former : undefined;
  const held = latest?.compromised ? [latest] : [signing, latest, trustedFormer];
  return {
    issuing: signing?.nodeCa,
    accepted: (stopsSigning ? [] : held.filter((ca) => !isUntrusted(ca)))
      .map((ca) => ca?.nodeCa).filter((nodeCa) => nodeCa !== undefined),
    othersAreCompromised: isCompromised ?? false,
  };
}

/** Returns the first of each key: a CA key that is loaded again gives the same node CA key in another certificate. */
function distinct(cas: readonly NodeCa[]): NodeCa[] {
  return cas.filter((one, index) => !isAmong(one, cas.slice(0, index)));
}

type Certified = Pick<NodeCa, "certificate">;

function isAmong({ certificate: { spki } }: Certified, cas: readonly Certified[]): boolean {
  return cas.some(({ certificate }) => equalBytes(certificate.spki, spki));
}
