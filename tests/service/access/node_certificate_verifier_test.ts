import assert from "node:assert/strict";
import { ClientCertificateAuthenticator } from "../../../src/service/access/client_certificate_authenticator.ts";
import { ReplicaIdentity } from "../../../src/service/issuing/replica_identity.ts";
import { NodeCertificateVerifier } from "../../../src/service/access/node_certificate_verifier.ts";
import {
  ExtendedKeyUsageExtension,
  Extension,
  SubjectAlternativeNameExtension,
} from "../../../src/service/x509/peculiar_x509.ts";
import type { SignatureToVerify } from "../../../src/shared/crypto/signature_engine.ts";
import { webCryptoEngine } from "../../../src/shared/crypto/web_crypto_engine.ts";
import { readCertificates } from "../../../src/shared/x509/certificate.ts";
import { forge, type Forged, type Forging, now } from "../../support/certificate_forge.ts";
import { testWith } from "../../support/workbench.ts";
import {
  newNodeCa,
  openNodeIssuer,
  podUid,
  TestClientCas,
  trustDomain,
} from "./node_certificates.ts";

const uri = "spiffe://cluster.local/csi-cert-node/worker-1";
const clientAuth = "1.3.6.1.5.5.7.3.2";
const serverAuth = "1.3.6.1.5.5.7.3.1";

const names = (...uris: string[]) =>
  new SubjectAlternativeNameExtension(uris.map((value) => ({ type: "url" as const, value })));
const usages = (...purposes: string[]) => new ExtendedKeyUsageExtension(purposes);

/** A node's certificate as an operator's own CA makes it. */
function forgeNode(issuer: Forged, changed: Forging = {}): Promise<Forged> {
  const extensions = [usages(clientAuth), names(uri)];
  return forge({ issuer, ca: false, keyUsage: "none", commonName: "node", extensions, ...changed });
}

/** AUTHENTICATION=mtls at the forge's instant. */
async function openMutual() {
  const ca = await forge({ commonName: "Nodes" });
  const clientCas = new TestClientCas([ca.certificate]);
  const clock = { now: () => now, after: () => ({ [Symbol.dispose]: () => {} }) };
  const options = { clientCas, trustDomain, statesPodUid: false, clock };
  return { ca, clientCas, verifier: new NodeCertificateVerifier(options) };
}

async function reasonOf(verifier: NodeCertificateVerifier, leaf: Uint8Array): Promise<string> {
  const decision = await verifier.verify(leaf);
  assert.ok(decision.kind === "rejected", "it was accepted");
  return decision.reason;
}

Deno.test("a node certificate is accepted for its node until it expires", async () => {
  const { clock, nodeCas, issue } = await openNodeIssuer();
  const options = { clientCas: nodeCas, trustDomain, statesPodUid: true, clock };
  const verifier = new NodeCertificateVerifier(options);
  const { leaf, notAfter } = await issue();
  assert.equal(String(notAfter), "2026-03-01T13:00:00Z");
  const decision = await verifier.verify(leaf);
  assert.ok(decision.kind === "accepted", JSON.stringify(decision));
  assert.deepEqual([decision.owner, String(decision.expiresAt)], ["worker-1", String(notAfter)]);
  await clock.advance({ minutes: 60 });
  assert.match(await reasonOf(verifier, leaf), /expired at 2026-03-01T13:00:00Z/);
  clock.set(Temporal.Instant.from("2026-03-01T11:54:59Z"));
  assert.match(await reasonOf(verifier, leaf), /not valid before 2026-03-01T11:55:00Z/);
});

Deno.test("a call's caller is the node and the driver's pod of the certificate", async () => {
  const { clock, nodeCas, issue } = await openNodeIssuer();
  const options = { clientCas: nodeCas, trustDomain, statesPodUid: true, clock };
  const authenticator = new ClientCertificateAuthenticator(new NodeCertificateVerifier(options));
  const authenticate = (peerCertificate: Uint8Array | undefined) =>
    authenticator.authenticate({ peerCertificate });
  const { leaf } = await issue("worker-1.example");
  assert.deepEqual(await authenticate(leaf), {
    kind: "caller",
    caller: { kind: "node", node: "worker-1.example", podUid },
  });
  assert.equal((await authenticate(undefined)).kind, "unauthenticated");
  await clock.advance({ hours: 1 });
  assert.equal((await authenticate(leaf)).kind, "unauthenticated");
});

Deno.test("a replica's certificate is accepted for that replica, of the node CA only", async () => {
  const { clock, nodeCas } = await openNodeIssuer();
  const options = { nodeCas, trustDomain, clock, engine: webCryptoEngine };
  const { certificatePem } = await new ReplicaIdentity(options, "replica-1").current();
  const [certificate] = readCertificates(certificatePem) ?? [];
  assert.ok(certificate !== undefined);
  const { der } = certificate;
  const accepting = { clientCas: nodeCas, trustDomain, statesPodUid: true, clock };
  const verifier = new NodeCertificateVerifier(accepting);
  const decision = await verifier.verify(der);
  assert.equal(decision.kind === "accepted" && decision.owner, "replica replica-1");
  const verdict = await verifier.identify(der);
  assert.deepEqual(verdict.kind === "accepted" && verdict.identity, {
    kind: "replica",
    replica: "replica-1",
  });
  // Certificates from files are an operator's, whose CA is no part of this service.
  const files = new NodeCertificateVerifier({ ...accepting, statesPodUid: false });
  assert.match(await reasonOf(files, der), /names no node/);
  const elsewhere = new NodeCertificateVerifier({ ...accepting, trustDomain: "other.example" });
  assert.match(await reasonOf(elsewhere, der), /names no node/);
});

Deno.test("a replica's certificate is kept for five minutes, and made again for another node CA", async () => {
  const { clock, nodeCas } = await openNodeIssuer();
  const options = { nodeCas, trustDomain, clock, engine: webCryptoEngine };
  const identity = new ReplicaIdentity(options, "replica-1");
  const first = await identity.current();
  await clock.advance({ minutes: 4 });
  assert.equal(await identity.current(), first);
  await clock.advance({ minutes: 1 });
  const second = await identity.current();
  assert.notEqual(second.certificatePem, first.certificatePem);
  const ca = await newNodeCa();
  nodeCas.replace({ issuing: ca, accepted: [ca], othersAreCompromised: false });
  assert.notEqual((await identity.current()).certificatePem, second.certificatePem);
  nodeCas.replace({ issuing: undefined, accepted: [], othersAreCompromised: true });
  await assert.rejects(identity.current(), /there is no node CA yet/);
});

Deno.test("a certificate of a CA that is no longer in use is rejected, also when it was accepted before", async () => {
  const { ca, clientCas, verifier } = await openMutual();
  const { certificate: { der } } = await forgeNode(ca);
  let changes = 0;
  using _subscription = verifier.onChange(() => changes++);
  assert.equal((await verifier.verify(der)).kind, "accepted");
  const other = await forge({ commonName: "Other nodes" });
  clientCas.set(other.certificate);
  assert.equal(changes, 1);
  assert.match(await reasonOf(verifier, der), /no trust anchor bears the name/);
  clientCas.set();
  assert.match(await reasonOf(verifier, der), /no client CA is in use/);
  // Another certificate of the same CA, as after a renewal of the CA.
  const renewed = await forge({ commonName: "Nodes", keys: ca.keys });
  clientCas.set(other.certificate, renewed.certificate);
  assert.equal((await verifier.verify(der)).kind, "accepted");
});

Deno.test("a signature is verified once for a certificate", async () => {
  const { clock, nodeCas, issue } = await openNodeIssuer();
  let verifications = 0;
  const engine = {
    ...webCryptoEngine,
    verify: (signed: SignatureToVerify) => {
      verifications++;
      return webCryptoEngine.verify(signed);
    },
  };
  const options = { clientCas: nodeCas, trustDomain, statesPodUid: true, clock, engine };
  const verifier = new NodeCertificateVerifier(options);
  const { leaf } = await issue();
  for (let call = 0; call < 5; call++) await verifier.verify(leaf.slice());
  assert.equal(verifications, 1);
  // Another CA is accepted too: nothing is verified again.
  const ca = await newNodeCa();
  const accepted = [nodeCas.issuing!, ca];
  nodeCas.replace({ issuing: nodeCas.issuing, accepted, othersAreCompromised: false });
  await verifier.verify(leaf);
  assert.equal(verifications, 1);
});

Deno.test("a revoked node's certificates are rejected", async () => {
  const { clock, nodeCas, issue } = await openNodeIssuer();
  const denied = new Map<string, Temporal.Instant>();
  const denials = {
    isDenied: (node: string, notBefore: Temporal.Instant) => {
      const before = denied.get(node);
      return before !== undefined && Temporal.Instant.compare(notBefore, before) < 0;
    },
    onChange: () => ({ [Symbol.dispose]: () => {} }),
  };
  const options = { clientCas: nodeCas, denials, trustDomain, statesPodUid: true, clock };
  const verifier = new NodeCertificateVerifier(options);
  const [first, second] = [await issue("worker-1"), await issue("worker-2")];
  denied.set("worker-1", clock.now());
  assert.match(await reasonOf(verifier, first.leaf), /node worker-1 .* revoked/);
  assert.equal((await verifier.verify(second.leaf)).kind, "accepted");
});

Deno.test("a certificate that is not a node's is rejected with the reason", async () => {
  const { ca, verifier } = await openMutual();
  const rows: [Forging, RegExp][] = [
    [{ extensions: [names(uri)] }, /extendedKeyUsage does not contain clientAuth/],
    [{ extensions: [usages(serverAuth), names(uri)] }, /does not contain clientAuth/],
    [{ extensions: [usages("2.5.29.37.0"), names(uri)] }, /does not contain clientAuth/],
    [{ ca: true }, /it is a CA's/],
    [{ notAfter: now.subtract({ seconds: 1 }) }, /expired at/],
    [{ notBefore: now.add({ seconds: 1 }) }, /not valid before/],
    [{ extensions: [usages(clientAuth)] }, /names no node/],
    [{ extensions: [usages(clientAuth), names()] }, /names no node/],
    [
      {
        extensions: [
          usages(clientAuth),
          names(uri),
          new Extension("1.2.3.4", true, new Uint8Array()),
        ],
      },
      /critical extension 1\.2\.3\.4/,
    ],
  ];
  const uris = [
    ["spiffe://cluster.local/ns/shop/sa/web"],
    ["spiffe://other.local/csi-cert-node/worker-1"],
    ["spiffe://cluster.local/csi-cert-node/"],
    ["spiffe://cluster.local/csi-cert-node/worker-1/x"],
    ["spiffe://cluster.local/csi-cert-node/Worker-1"],
    ["spiffe://cluster.local/csi-cert-node/worker%2d1"],
    [`spiffe://cluster.local/csi-cert-node/${"a".repeat(254)}`],
    ["spiffe://cluster.local/csi-cert-service"],
    [uri, "spiffe://cluster.local/csi-cert-node/worker-2"],
    [uri, "https://worker-1.example/"],
    [uri, uri],
  ];
  for (const list of uris) {
    rows.push([{ extensions: [usages(clientAuth), names(...list)] }, /names no node: expected/]);
  }
  for (const [changed, reason] of rows) {
    const { certificate } = await forgeNode(ca, changed);
    assert.match(await reasonOf(verifier, certificate.der), reason);
  }
  const { certificate } = await forgeNode(ca, {
    extensions: [usages(clientAuth, serverAuth), names(uri)],
  });
  assert.equal((await verifier.verify(certificate.der)).kind, "accepted");
});

Deno.test("a certificate that names the CA but is signed by another key is rejected", async () => {
  const { ca, verifier } = await openMutual();
  const impostor = await forge({ commonName: "Nodes" });
  const { certificate } = await forgeNode(impostor);
  assert.match(await reasonOf(verifier, certificate.der), /not by the key of/);
  const { certificate: { der } } = await forgeNode(ca);
  const changed = der.slice();
  changed[changed.length - 1]! ^= 1;
  assert.match(await reasonOf(verifier, changed), /not by the key of|cannot be read/);
  assert.match(await reasonOf(verifier, new Uint8Array(100)), /cannot be read/);
  assert.match(await reasonOf(verifier, ca.certificate.der), /itself a client CA's/);
});

Deno.test("a certificate of a node CA without a pod's uid is rejected", async () => {
  const ca = await forge({ commonName: "Nodes" });
  const clock = { now: () => now, after: () => ({ [Symbol.dispose]: () => {} }) };
  const clientCas = new TestClientCas([ca.certificate]);
  const verifier = new NodeCertificateVerifier({
    clientCas,
    trustDomain,
    statesPodUid: true,
    clock,
  });
  const { certificate } = await forgeNode(ca);
  assert.match(await reasonOf(verifier, certificate.der), /does not state the uid of a pod/);
});

testWith(
  "openssl",
  "an anchor of version 1 verifies no certificate, neither its own holder's nor one that it signed",
  async (bench) => {
    await bench.openssl(
      ...`req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=Old -keyout ca.key -out ca.csr`
        .split(" "),
    );
    await bench.openssl(...`x509 -req -in ca.csr -signkey ca.key -days 30 -out ca.crt`.split(" "));
    await bench.write("leaf.conf", `extendedKeyUsage=clientAuth\nsubjectAltName=URI:${uri}\n`);
    await bench.openssl(
      ...`req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=node -keyout leaf.key -out leaf.csr`
        .split(" "),
    );
    await bench.openssl(
      ...`x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile leaf.conf -out leaf.crt`
        .split(" "),
    );
    const [ca] = readCertificates(await bench.read("ca.crt")) ?? [];
    const [leaf] = readCertificates(await bench.read("leaf.crt")) ?? [];
    assert.ok(ca && leaf);
    const clock = {
      now: () => Temporal.Now.instant(),
      after: () => ({ [Symbol.dispose]: () => {} }),
    };
    const clientCas = new TestClientCas([ca]);
    const verifier = new NodeCertificateVerifier({
      clientCas,
      trustDomain,
      statesPodUid: false,
      clock,
    });
    assert.match(await reasonOf(verifier, leaf.der), /no client CA is in use/);
    assert.match(await reasonOf(verifier, ca.der), /itself a client CA's/);
  },
);
