import {
  exportPrivateKey,
  exportPublicKey,
  generateKeyPair,
} from "../../shared/crypto/key_pairs.ts";
import { encodePem } from "../../shared/crypto/pem.ts";
import { replicaUri } from "../../shared/text/product_names.ts";
import type { NodeCa } from "../x509/node_ca.ts";
import { type DerivedNodeIssuerOptions, issueDerived } from "./derived_node_issuer.ts";

/** A replica whose clock is 5 minutes ahead accepts it too. */
const lifetimeMs = 15 * 60_000;
const usedForMs = 5 * 60_000;

/** A client certificate, the leaf alone, and its key, PEM. */
interface KeyPairPem {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/**
 * The client certificate with which this replica calls the others. They accept it because they derive the same node CA
 * from the same key. It is made when it is needed; the key exists only in memory.
 */
export class ReplicaIdentity {
  readonly #options: DerivedNodeIssuerOptions;
  readonly #replica: string;
  #made:
    | { readonly pair: Promise<KeyPairPem>; readonly ca: NodeCa; readonly usedUntilMs: number }
    | undefined;

  /** `replica` distinguishes this replica from the others: letters, digits and "-", at most 64. */
  constructor(options: DerivedNodeIssuerOptions, replica: string) {
    this.#options = options;
    this.#replica = replica;
  }

  /** The same object until it is made again. Rejects while there is no node CA. */
  async current(): Promise<KeyPairPem> {
    const { nodeCas: { issuing }, clock } = this.#options;
    const nowMs = clock.now().epochMilliseconds;
    const made = this.#made;
    if (made !== undefined && made.ca === issuing && nowMs < made.usedUntilMs) return made.pair;
    const pair = this.#make(nowMs + lifetimeMs);
    this.#made = issuing && { pair, ca: issuing, usedUntilMs: nowMs + usedForMs };
    try {
      return await pair;
    } catch (error) {
      if (this.#made?.pair === pair) this.#made = undefined;
      throw error;
    }
  }

  async #make(endMs: number): Promise<KeyPairPem> {
    const { publicKey, privateKey } = await generateKeyPair("ecdsa-p256");
    const issued = await issueDerived(this.#options, {
      spki: await exportPublicKey(publicKey),
      uri: replicaUri(this.#options.trustDomain),
      holder: this.#replica,
      endMs,
    });
    if (issued.kind === "unavailable") throw new Error(issued.reason);
    return {
      certificatePem: issued.chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
      privateKeyPem: await exportPrivateKey(privateKey),
    };
  }
}
