import { AllReplicas } from "../../src/service/peers/all_replicas.ts";
import { ownCertificates } from "../../src/service/api/own_certificates.ts";
import assert from "node:assert/strict";
import { CurrentCa, type SigningMaterial } from "../../src/service/ca/current_ca.ts";
import type {
  IssuedCertificate,
  IssueOutcome,
  IssueRequest,
} from "../../src/service/issuing/certificate_issuer.ts";
import type { Policy, PolicyRule } from "../../src/service/policy/policy.ts";
import type { DriverCaller } from "../../src/service/access/authenticator.ts";
import type { PodDirectory } from "../../src/service/access/pod_authorization.ts";
import type { PodIdentity } from "../../src/shared/attributes/pod_identity.ts";
import type { SharedDocument } from "../../src/service/documents/shared_document.ts";
import { MemoryDocument } from "../../src/service/documents/memory_document.ts";
import {
  composeIssuing,
  openQueues,
  type ServiceQueues,
} from "../../src/service/program/compose.ts";
import { derivedCertificateTimes } from "../../src/service/issuing/derived_node_issuer.ts";
import { createCa, type InitCaOptions } from "../../src/service/admin/init_ca.ts";
import { Scheduler } from "../../src/shared/scheduler/scheduler.ts";
import { type Certificate, readCertificate } from "../../src/shared/x509/certificate.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { loadIssuer } from "../../src/service/x509/issuer.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../../src/shared/crypto/key_algorithm.ts";
import { serverName } from "../../src/shared/text/product_names.ts";
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
    trustDomain: "cluster.local",
    servingName: serverName,
    minValidity: Temporal.Duration.from({ hours: 1 }),
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
  /** Where the replicas keep denials; in memory by default. */
  readonly denialsDocument?: SharedDocument;
  /** In place of the program's own. */
  readonly queues?: Partial<ServiceQueues>;
}

/** The parts of the service that issue, as the program composes them, on a clock that stands still. */
export async function openTestService(options: TestServiceOptions = {}) {
  const { clock = new FakeClock(start), pods } = options;
  await using resources = new AsyncDisposableStack();
  const scheduler = resources.use(new Scheduler({ clock }));
  const parts = composeIssuing({
    clock,
    scheduler,
    currentCa: new CurrentCa(options.material ?? await makeCa()),
    policy: {
      get policy() {
        return options.policy ?? policy();
      },
      longestValidity: Temporal.Duration.from({ hours: 720 }),
    },
    denialsDocument: options.denialsDocument ?? new MemoryDocument(),
    pods,
    nodeCertificates: derivedCertificateTimes,
    clusterDomain: "cluster.local",
    queues: { ...openQueues(clock), ...options.queues },
  });
  resources.use(parts.inventory);
  const stopping = new AbortController();
  const running = [parts.denials.run(stopping.signal), parts.upkeep.run(stopping.signal)];
  resources.defer(async () => {
    stopping.abort();
    await Promise.all(running);
  });
  await clock.until(() => parts.denials.isLoaded);
  const ask = async (given: Partial<IssueRequest> = {}, caller = anonymous) =>
    await parts.issuing.issue(caller, await issueRequest(given), never);
  const { nodeRevocation } = parts;
  assert(nodeRevocation !== undefined);
  const own = ownCertificates(parts);
  const opened = resources.move();
  return {
    ...parts,
    replicas: new AllReplicas(own, undefined),
    servingName: serverName,
    clock,
    nodeRevocation,
    scheduler,
    ask,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
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
