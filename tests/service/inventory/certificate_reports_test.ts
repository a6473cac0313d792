import assert from "node:assert/strict";
import {
  CertificateReports,
  maxCertificateBytes,
  type ReportedCertificate,
} from "../../../src/service/inventory/certificate_reports.ts";
import type { Caller } from "../../../src/service/access/authenticator.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { podDnsName } from "../../../src/service/policy/default_names.ts";
import { FairQueue } from "../../../src/shared/scheduler/fair_queue.ts";
import { webCryptoEngine } from "../../../src/shared/crypto/web_crypto_engine.ts";
import type { ClusterPod } from "../../../src/service/access/pod_authorization.ts";
import type { PodIdentity } from "../../../src/shared/attributes/pod_identity.ts";
import { clusterPod, ScriptedPods } from "../../support/scripted_pods.ts";
import {
  anonymous,
  issued,
  makeCa,
  never,
  openTestService,
  pod,
} from "../../support/service_fixture.ts";
import { comparable } from "../../support/comparable.ts";
import { entryOf } from "../../support/inventory_entries.ts";

const node: Caller = { kind: "node", node: "node-1" };

function held(
  certificate: Uint8Array,
  given: Partial<ReportedCertificate> = {},
): ReportedCertificate {
  return { certificate, pod, volumeId: "csi-1", ...given };
}

Deno.test("a restarted service knows again what its drivers report", async () => {
  const material = await makeCa();
  await using before = await openTestService({ material });
  const { leaf, serialNumber } = issued(await before.ask({ attributes: { duration: "1h" } }));
  const known = before.inventory.get(serialNumber);
  await using after = await openTestService({ material });
  const outcome = await after.reporting.report(node, [held(leaf.der)], never);
  assert.deepEqual(outcome, { kind: "reported", accepted: 1, refused: 0, oversized: 0 });
  const entry = after.inventory.get(serialNumber);
  assert.equal(entry?.node, "node-1");
  assert.deepEqual(entry.names, {
    commonName: known?.names.commonName,
    dnsNames: known?.names.dnsNames,
    ipAddresses: [],
    uris: [],
  });
  assert.deepEqual(
    comparable([entry.pod, entry.notAfterMs]),
    comparable([known?.pod, known?.notAfterMs]),
  );
});

Deno.test("a report is accepted for certificates of the service's CA, and for no other", async () => {
  const material = await makeCa();
  await using service = await openTestService({ material });
  await using other = await openTestService();
  await using restarted = await openTestService({ material });
  const ours = issued(await service.ask({ attributes: { duration: "1h" } })).leaf.der;
  const theirs = issued(await other.ask()).leaf.der;
  const forged = ours.with(ours.length - 1, (ours.at(-1) ?? 0) ^ 1);
  const refused = [
    held(theirs),
    held(forged),
    held(new Uint8Array([1, 2, 3])),
    held(material.issuer.certificate.der),
    held(ours, { pod: { ...pod, namespace: "bank" } }),
    held(ours, { pod: { ...pod, name: "web-1" } }),
  ];
  assert.deepEqual(await restarted.reporting.report(anonymous, refused, never), {
    kind: "reported",
    accepted: 0,
    refused: refused.length,
    oversized: 0,
  });
  await restarted.clock.advance({ hours: 2 });
  const late = await restarted.reporting.report(anonymous, [held(ours)], never);
  assert.deepEqual(late, { kind: "reported", accepted: 0, refused: 1, oversized: 0 });
  assert.equal(restarted.inventory.size, 0);
});

Deno.test("a report does not change what is known from our own signature", async () => {
  await using service = await openTestService();
  const { leaf, serialNumber } = issued(await service.ask());
  const claim = held(leaf.der, { pod: { ...pod, uid: "another" } });
  await service.reporting.report(node, [claim], never);
  assert.equal(service.inventory.get(serialNumber)?.pod.uid, pod.uid);
  assert.equal(service.inventory.get(serialNumber)?.node, undefined);
});

Deno.test("a report does not replace an entry that is added while it is verified", async () => {
  await using service = await openTestService();
  const { clock, currentCa } = service;
  const { leaf, serialNumber } = issued(await service.ask());
  const entry = service.inventory.get(serialNumber);
  assert(entry !== undefined);
  await using restarted = await openTestService({ clock });
  const { inventory } = restarted;
  const reporting = new CertificateReports({
    currentCa,
    inventory,
    clock,
    clusterDomain: "cluster.local",
    queue: new FairQueue({ clock, concurrency: 1 }),
    engine: {
      ...webCryptoEngine,
      verify: (signed) => {
        inventory.add(entryOf(entry));
        return webCryptoEngine.verify(signed);
      },
    },
  });
  const outcome = await reporting.report(node, [held(leaf.der)], never);
  assert.deepEqual(outcome, { kind: "reported", accepted: 1, refused: 0, oversized: 0 });
  assert.equal(inventory.get(serialNumber)?.node, undefined);
});

Deno.test("a report is accepted for a pod that exists with its uid and its account on the reporting node", async () => {
  const material = await makeCa();
  await using before = await openTestService({ material });
  const { leaf } = issued(await before.ask());
  const rows: [kind: "accepted" | "refused", Partial<ClusterPod>, Partial<PodIdentity>][] = [
    ["refused", {}, { uid: "invented" }],
    ["refused", { uid: "re-created" }, {}],
    ["refused", { nodeName: "node-2" }, {}],
    ["refused", { serviceAccountName: "other" }, {}],
    ["accepted", {}, {}],
  ];
  for (const [kind, observed, claimed] of rows) {
    const pods = new ScriptedPods(clusterPod(pod, observed));
    await using service = await openTestService({ material, pods });
    const claim = held(leaf.der, { pod: { ...pod, ...claimed } });
    const outcome = await service.reporting.report(node, [claim], never);
    const accepted = Number(kind === "accepted");
    assert.deepEqual(outcome, { kind: "reported", accepted, refused: 1 - accepted, oversized: 0 });
    assert.equal(service.inventory.size, accepted);
    // What is known is not looked up again.
    await service.reporting.report(node, [claim], never);
    assert.equal(pods.finds, kind === "accepted" ? 1 : 2);
  }
});

Deno.test("a report is unavailable, and is to be repeated, while the API server does not answer", async () => {
  const pods = new ScriptedPods();
  pods.failure = "the API server does not answer";
  await using service = await openTestService({ pods });
  await using before = await openTestService({ material: service.currentCa.material! });
  const { leaf } = issued(await before.ask());
  const outcome = await service.reporting.report(node, [held(leaf.der)], never);
  assert.deepEqual(outcome, { kind: "unavailable", reason: "the API server does not answer" });
  assert.equal(service.inventory.size, 0);
});

Deno.test("a certificate is reported for the pod whose own name it bears in front of all others, and for no other", async () => {
  const material = await makeCa();
  await using before = await openTestService({ material });
  await using service = await openTestService({ material });
  const accepted = async (certificate: Uint8Array, pod: PodIdentity) => {
    const outcome = await service.reporting.report(node, [held(certificate, { pod })], never);
    assert(outcome.kind === "reported");
    return outcome.accepted === 1;
  };
  const web1 = { ...pod, name: "web-1" };
  const attributes = { "dns-names": "web-1.shop.svc.cluster.local" };
  const both = issued(await before.ask({ attributes })).leaf;
  assert(both.dnsNames.includes("web-1.shop.svc.cluster.local"));
  assert.equal(await accepted(both.der, web1), false);
  // A pod whose own name DNS does not allow.
  const long = { ...pod, name: `${"n".repeat(64)}.web` };
  const unnamed = issued(await before.ask({ pod: long, attributes })).leaf;
  assert.equal(await accepted(unnamed.der, long), false);
  assert.equal(await accepted(both.der, long), false);
  assert.equal(await accepted(both.der, pod), true);
});

Deno.test("what the former CA signed is ours for as long as its anchor is published", async () => {
  await using service = await openTestService();
  const old = service.currentCa.material;
  const { leaf } = issued(await service.ask());
  const next = await makeCa({ commonName: "Next CA" });
  const anchors = [...(old?.anchors ?? []), ...next.anchors];
  await using during = await openTestService({ material: { ...next, anchors } });
  await using after = await openTestService({ material: next });
  const report = (where: typeof during) => where.reporting.report(node, [held(leaf.der)], never);
  assert.deepEqual(await report(during), {
    kind: "reported",
    accepted: 1,
    refused: 0,
    oversized: 0,
  });
  assert.deepEqual(await report(after), {
    kind: "reported",
    accepted: 0,
    refused: 1,
    oversized: 0,
  });
});

Deno.test("the longest certificate that the service signs is accepted, and a longer one is refused unread", async () => {
  const material = await makeCa({ algorithm: "rsa-4096" });
  await using service = await openTestService({ material });
  const { publicKey } = await generateKeyPair("rsa-2048");
  const own = podDnsName(pod, "cluster.local");
  const label = "n".repeat(62);
  // The most of each, and no longer texts than an attribute of 4 KiB can have.
  const signed = await service.signer.sign({
    publicKey,
    names: {
      commonName: own,
      organizationalUnits: Array.from({ length: 16 }, (_, n) => `${n}`.padEnd(64, "u")),
      dnsNames: [
        own,
        ...Array.from({ length: 64 }, (_, n) => `${n}${label.slice(2)}.${label}.${label}.${label}`),
      ],
      ipAddresses: Array.from({ length: 32 }, (_, n) => `2001:db8::${n.toString(16)}`),
      uris: Array.from({ length: 16 }, (_, n) => `spiffe://${n}/${"n".repeat(256)}`),
    },
    validity: Temporal.Duration.from({ hours: 1 }),
    extendedKeyUsage: ["serverAuth", "clientAuth"],
  });
  assert(signed.kind === "signed");
  const leaf = signed.chain[0]!;
  assert(leaf.length > 20_000, `${leaf.length} bytes`);
  const longer = new Uint8Array(maxCertificateBytes + 1);
  longer.set(leaf);
  const reported = [held(leaf), held(longer)];
  assert.deepEqual(await service.reporting.report(anonymous, reported, never), {
    kind: "reported",
    accepted: 1,
    refused: 1,
    oversized: 1,
  });
});
