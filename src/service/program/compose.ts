/**
 * This folder composes `cert-service`: its configuration, its help page, its metrics, its
 * readiness, and the order in which its parts start and stop. Its main types are `ServiceConfig`
 * and `RunningService`; its main function is `openService`. It must never contain a rule of the
 * domain, and only the entry imports it.
 */

import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { later } from "../../shared/scheduler/instants.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import { webCryptoEngine } from "../../shared/crypto/web_crypto_engine.ts";
import { CaController } from "../ca/ca_controller.ts";
import type { CaCheck } from "../ca/loaded_ca.ts";
import { CurrentCa } from "../ca/current_ca.ts";
import { Inventory } from "../inventory/inventory.ts";
import { CertificateIssuer } from "../issuing/certificate_issuer.ts";
import { LeafSigner } from "../issuing/leaf_signer.ts";
import type { CurrentPolicy } from "../issuing/current_policy.ts";
import type { CaSource } from "../ca/ca_source.ts";
import type { DriverPodCheck } from "../access/driver_pod_check.ts";
import type { PodDirectory } from "../access/pod_authorization.ts";
import type { NodeCas } from "../ca/node_cas.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import { CertificateReports } from "../inventory/certificate_reports.ts";
import { NodeReports } from "../inventory/node_reports.ts";
import { DenialStore } from "../revocation/denial_store.ts";
import { DenialUpkeep } from "../revocation/denial_upkeep.ts";
import { NodeRevocation } from "../revocation/node_revocation.ts";
import { PodConfirmation } from "../revocation/pod_confirmation.ts";
import { Revocation } from "../revocation/revocation.ts";
import { ServingCertificate } from "../issuing/serving_certificate.ts";
import { FairQueue } from "../../shared/scheduler/fair_queue.ts";

/** What the parts that issue, record and revoke depend on. */
export interface IssuingOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly currentCa: CurrentCa;
  readonly policy: Pick<CurrentPolicy, "policy" | "longestValidity">;
  /** Where the replicas keep denials. */
  readonly denialsDocument: SharedDocument;
  /** When the last certificate expires that was signed until now; absent: the policy alone decides. */
  readonly lastExpiry?: (() => Temporal.Instant | undefined) | undefined;
  /** Absent: what callers state about pods is not verified. */
  readonly pods?: PodDirectory | undefined;
  /** How nodes' client certificates are made; absent: nodes have none. */
  readonly nodeCertificates?:
    | {
      readonly backdating: Temporal.DurationLike;
      readonly longestLifetime: Temporal.DurationLike | undefined;
    }
    | undefined;
  /** Absent: the driver's pod is not looked up again for each certificate. */
  readonly driverPods?: DriverPodCheck | undefined;
  readonly clusterDomain: string;
  /** Signs and verifies; WebCrypto by default. */
  readonly engine?: SignatureEngine | undefined;
  readonly queues?: ServiceQueues | undefined;
}

export interface ServiceOptions extends IssuingOptions {
  /** The name in the service's own certificate. */
  readonly servingName: string;
  readonly policy: CurrentPolicy;
  readonly caSource: CaSource;
  readonly caRotationDelay: Temporal.Duration;
  readonly caCheck?: CaCheck | undefined;
  readonly trustDocument: SharedDocument;
  /** Absent: node certificates are not derived from the CA. */
  readonly nodes?: { readonly trustDomain: string; readonly cas: NodeCas } | undefined;
}

/** Every queue of the program. */
export interface ServiceQueues {
  /** From a pod's look-up to the caller's authorization. */
  readonly lookup: FairQueue;
  readonly signature: FairQueue;
  /** Reports of certificates. */
  readonly report: FairQueue;
}

const logger = getLogger(["cert-service"]);

/** The parts of the service, composed and following their sources. */
export type RunningService = Awaited<ReturnType<typeof openService>>;

/** Composes the parts that issue, record and revoke. They start nothing, and use the CA that `currentCa` holds. */
export function composeIssuing(options: IssuingOptions) {
  const { clock, scheduler, currentCa, policy, pods, driverPods, nodeCertificates } = options;
  const { clusterDomain, engine = webCryptoEngine, queues = openQueues(clock) } = options;
  const inventory = new Inventory({ clock, scheduler });
  const denials = new DenialStore({ document: options.denialsDocument, pods, scheduler, clock });
  // A certificate that was issued before the policy became stricter can be valid for longer.
  const lastExpiry = () => {
    const now = clock.now();
    return later(now.add(policy.longestValidity), options.lastExpiry?.() ?? now);
  };
  const confirmation = new PodConfirmation({ pods, clusterDomain });
  const denying = { clock, store: denials, lastExpiry };
  const upkeep = new DenialUpkeep({ ...denying, scheduler, pods, confirmation, inventory });
  const revocation = new Revocation({ ...denying, upkeep });
  const nodeRevocation = nodeCertificates &&
    new NodeRevocation({ clock, store: denials, ...nodeCertificates });
  const signer = new LeafSigner({ currentCa, clock, engine });
  const parts = { currentCa, inventory, revocation, clock, engine };
  const issuing = new CertificateIssuer({
    ...parts,
    lookups: queues.lookup,
    signatures: queues.signature,
    signer,
    policy: () => policy.policy,
    pods,
    driverPods,
  });
  const queue = queues.report;
  const reporting = new CertificateReports({ ...parts, queue, pods, clusterDomain });
  const revoking = { denials, upkeep, confirmation, nodeRevocation };
  const nodes = new NodeReports({ inventory, clock, scheduler });
  return { ...parts, queues, signer, issuing, reporting, nodes, ...revoking };
}

/**
 * Composes the parts of the service, which follow their sources until disposed. Resolves when the
 * CA's source has been read for the first time.
 */
export async function openService(options: ServiceOptions) {
  const { currentCa, scheduler, clock, policy } = options;
  const caController = openCaController(options);
  const parts = composeIssuing({ ...options, lastExpiry: () => caController.lastExpiry });
  const { signer, denials, upkeep } = parts;
  await using resources = new AsyncDisposableStack();
  resources.use(parts.inventory);
  // The longest validity decides how long a root is trusted after its CA's last signature.
  resources.use(policy.onChange(() => caController.refresh()));
  runInBackground(resources, (signal) => caController.run(signal));
  runInBackground(resources, (signal) => denials.run(signal));
  runInBackground(resources, (signal) => upkeep.run(signal));
  // Awaited, so that the serving certificate is signed by the CA if there is one.
  const { problem } = await caController.firstResult;
  const serving = resources.use(
    await ServingCertificate.start({
      servingName: options.servingName,
      currentCa,
      signer,
      scheduler,
      clock,
    }),
  );
  const opened = resources.move();
  return {
    ...parts,
    serving,
    caController,
    /** Why the first CA of the source cannot be used; undefined if it can. */
    caProblem: problem,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Creates the part that follows the CA's source and the trust document. */
function openCaController(options: ServiceOptions): CaController {
  const { currentCa, scheduler, clock, policy } = options;
  return new CaController({
    source: options.caSource,
    document: options.trustDocument,
    currentCa,
    scheduler,
    clock,
    longestValidity: () => policy.longestValidity,
    delay: options.caRotationDelay,
    check: options.caCheck,
    nodes: options.nodes,
  });
}

/** Each queue serves the nodes in turn. */
export function openQueues(clock: Clock): ServiceQueues {
  return {
    // A look-up waits for the API server, which answers within milliseconds.
    lookup: new FairQueue({ clock, concurrency: 16 }),
    signature: new FairQueue({ clock, concurrency: 4 }),
    // Few, so that a thousand nodes that report after a restart do not delay signatures.
    report: new FairQueue({ clock, concurrency: 2 }),
  };
}

/** Runs a part that follows its source, until the stack is disposed. */
function runInBackground(
  resources: AsyncDisposableStack,
  follows: (signal: AbortSignal) => Promise<void>,
): void {
  const stopping = new AbortController();
  const following = follows(stopping.signal).catch((error) => {
    if (!stopping.signal.aborted) logger.error("a source is no longer followed", { error });
  });
  resources.defer(async () => {
    stopping.abort();
    await following;
  });
}
