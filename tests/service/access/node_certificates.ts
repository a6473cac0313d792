import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { NodeCas } from "../../../src/service/ca/node_cas.ts";
import { derivedNodeIssuer } from "../../../src/service/issuing/derived_node_issuer.ts";
import { deriveNodeCa, type NodeCa } from "../../../src/service/x509/node_ca.ts";
import {
  exportPrivateKey,
  exportPublicKey,
  generateKeyPair,
} from "../../../src/shared/crypto/key_pairs.ts";
import { webCryptoEngine } from "../../../src/shared/crypto/web_crypto_engine.ts";

export const trustDomain = "cluster.local";
export const podUid = "5a1d7c1e-0000-4000-8000-000000000001";

/** The node CA of a new CA key. */
export async function newNodeCa(): Promise<NodeCa> {
  const { privateKey } = await generateKeyPair("ecdsa-p256");
  const scope = { trustDomain, clusterId: "test" };
  const nodeCa = await deriveNodeCa(await exportPrivateKey(privateKey), scope);
  assert.ok(nodeCa);
  return nodeCa;
}

/** A node CA that issues, on a clock that stands still. */
export async function openNodeIssuer() {
  const clock = new FakeClock(Temporal.Instant.from("2026-03-01T12:00:00Z"));
  const nodeCas = new NodeCas(clock);
  const nodeCa = await newNodeCa();
  nodeCas.replace({ issuing: nodeCa, accepted: [nodeCa], othersAreCompromised: false });
  const issueNodeCertificate = derivedNodeIssuer({
    nodeCas,
    trustDomain,
    clock,
    engine: webCryptoEngine,
  });
  const issue = async (node = "worker-1", lifetime: Temporal.DurationLike = { hours: 2 }) => {
    const { publicKey } = await generateKeyPair("ecdsa-p256");
    const spki = await exportPublicKey(publicKey);
    const notAfter = clock.now().add(lifetime);
    const issued = await issueNodeCertificate({ spki, node, podUid, notAfter });
    assert.ok(issued.kind === "issued", JSON.stringify(issued));
    const [leaf] = issued.chain;
    assert.ok(leaf);
    return { leaf, notAfter: issued.notAfter };
  };
  return { clock, nodeCas, nodeCa, issue };
}

/** A source of client CAs that a test changes. */
export class TestClientCas {
  readonly #listeners = new Set<() => void>();

  constructor(public certificates: NodeCa["certificate"][] = []) {}

  set(...certificates: NodeCa["certificate"][]): void {
    this.certificates = certificates;
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
