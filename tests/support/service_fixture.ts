import assert from "node:assert/strict";
import { CurrentCa, type SigningMaterial } from "../../src/service/ca/current_ca.ts";
import { Inventory } from "../../src/service/inventory/inventory.ts";
import {
  CertificateIssuer,
  type IssuedCertificate,
  type IssueOutcome,
  type IssueRequest,
} from "../../src/service/issuing/certificate_issuer.ts";
import { LeafSigner } from "../../src/service/issuing/leaf_signer.ts";
import type { Policy, PolicyRule } from "../../src/service/policy/policy.ts";
import type { DriverCaller } from "../../src/service/access/authenticator.ts";
import type { PodDirectory } from "../../src/service/access/pod_directory.ts";
import type { PodIdentity } from "../../src/shared/attributes/pod_identity.ts";
import { CertificateReports } from "../../src/service/inventory/certificate_reports.ts";
import { MemoryDenialStore } from "../../src/service/revocation/denial_store.ts";
import { NodeRevocation } from "../../src/service/revocation/node_revocation.ts";
import { Revocation } from "../../src/service/revocation/revocation.ts";
import { createCa, type InitCaOptions } from "../../src/service/admin/init_ca.ts";
import { FairQueue } from "../../src/shared/scheduler/fair_queue.ts";
import { Scheduler } from "../../src/shared/scheduler/scheduler.ts";
import { type Certificate, readCertificate } from "../../src/shared/x509/certificate.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { loadIssuer } from "../../src/service/x509/issuer.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../../src/shared/crypto/key_algorithm.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";

export const start = Temporal.Instant.from("2026-03-01T12:00:00.750Z");
export const anonymous: DriverCaller = { kind: "anonymous" };
export const never = new AbortController().signal;

export const pod: PodIdentity = {
  namespace: "shop",
  name: "web-0",
  uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
  serviceAccount: "web",
};

export function policy(rules: readonly PolicyRule[] = []): Policy {
  return {
    clusterDomain: "cluster.local",
    defaultValidity: Temporal.Duration.from({ hours: 168 }),
    maxValidity: Temporal.Duration.from({ hours: 720 }),
    rules,
  };
}

/** A rule that states only what it is given. */
export function rule(given: Partial<PolicyRule>): PolicyRule {
  return {
    namespaces: ["*"],
    dnsNames: [],
    uris: [],
    ipRanges: [],
    organizationalUnits: [],
    ...given,
  };
}

export async function makeCa(
  options: Partial<InitCaOptions> = {},
  at: Temporal.Instant = start,
): Promise<SigningMaterial> {
  const root = await createCa(
    { algorithm: "ecdsa-p256", days: 3650, commonName: "Test CA", ...options },
    at,
  );
  const loaded = await loadIssuer(root.certificatePem, root.privateKeyPem, at);
  assert(loaded.kind === "loaded");
  return loaded;
}

export async function certificateRequest(algorithm: KeyAlgorithm = "ecdsa-p256") {
  return await createCertificateRequest(await generateKeyPair(algorithm));
}

export async function issueRequest(given: Partial<IssueRequest> = {}): Promise<IssueRequest> {
  return {
    certificateRequest: given.certificateRequest ?? await certificateRequest(),
    pod,
    volumeId: "csi-1",
    volumeName: "certs",
    attributes: {},
    predecessor: undefined,
    ...given,
  };
}

export interface TestServiceOptions {
  readonly clock?: FakeClock;
  readonly material?: SigningMaterial;
  readonly policy?: Policy;
  readonly pods?: PodDirectory;
  readonly capacity?: number;
  readonly concurrency?: number;
}

/** All parts of the service, as the program composes them, on a clock that stands still. */
export async function openTestService(options: TestServiceOptions = {}) {
  const clock = options.clock ?? new FakeClock(start);
  const currentCa = new CurrentCa(options.material ?? await makeCa());
  const scheduler = new Scheduler({ clock });
  const inventory = new Inventory({ clock, scheduler });
  const lookups = new FairQueue({ clock, concurrency: 16 });
  const reports = new FairQueue({ clock, concurrency: 2 });
  const queue = new FairQueue({
    clock,
    concurrency: options.concurrency ?? 4,
    capacity: options.capacity ?? 4_096,
  });
  const store = new MemoryDenialStore();
  const longestValidity = () => Temporal.Duration.from({ hours: 720 });
  const revocation = new Revocation({ clock, scheduler, store, inventory, longestValidity });
  const nodeRevocation = new NodeRevocation({
    clock,
    store,
    backdating: { minutes: 5 },
    longestLifetime: { hours: 2 },
  });
  const signer = new LeafSigner({ currentCa, clock });
  const issuing = new CertificateIssuer({
    signer,
    lookups,
    signatures: queue,
    inventory,
    revocation,
    policy: () => options.policy ?? policy(),
    ...(options.pods ? { pods: options.pods } : {}),
  });
  const clusterDomain = "cluster.local";
  const reporting = new CertificateReports({
    currentCa,
    queue: reports,
    inventory,
    clock,
    clusterDomain,
  });
  const ask = async (given: Partial<IssueRequest> = {}, caller = anonymous) =>
    await issuing.issue(caller, await issueRequest(given), never);
  return {
    clock,
    currentCa,
    scheduler,
    inventory,
    queue,
    lookups,
    store,
    revocation,
    nodeRevocation,
    signer,
    issuing,
    reporting,
    ask,
    [Symbol.asyncDispose]: () => scheduler[Symbol.asyncDispose](),
  };
}

export function issued(outcome: IssueOutcome): IssuedCertificate & { leaf: Certificate } {
  assert(outcome.kind === "issued", `not issued: ${JSON.stringify(outcome)}`);
  const leaf = readCertificate(outcome.chain[0] ?? new Uint8Array());
  assert(leaf !== undefined);
  return { ...outcome, leaf };
}

/** The reason of an outcome of this kind. */
export function reasonOf(kind: IssueOutcome["kind"], outcome: IssueOutcome): string {
  assert.equal(outcome.kind, kind, JSON.stringify(outcome));
  assert("reason" in outcome);
  return outcome.reason;
}
