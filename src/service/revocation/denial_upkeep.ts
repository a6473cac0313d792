import { getLogger } from "@logtape/logtape";
import type { PodDirectory } from "../access/pod_authorization.ts";
import { waitUntilAborted } from "../../shared/scheduler/abort_signals.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import type { Denial } from "./denial_format.ts";
import type { DenialStore } from "./denial_store.ts";
import { askDeniedPods, type DeniedPods } from "./denied_pods.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { claimsOf, type PodConfirmation } from "./pod_confirmation.ts";

export interface DenialUpkeepOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly store: DenialStore;
  /** Absent: no denial gets a name, and none ends. */
  readonly pods?: PodDirectory | undefined;
  readonly confirmation: Pick<PodConfirmation, "nameOf">;
  readonly inventory: Pick<Inventory, "pages">;
  /** When the last certificate expires that can have been issued until now, to any pod. */
  readonly lastExpiry: () => Temporal.Instant;
}

const jobKey = "denial-upkeep";
const every = { hours: 1 };

const logger = getLogger(["cert-service", "revocation"]);

/**
 * Ends denials: of the pods whose certificates have expired, it asks the API server every hour which
 * are gone. A uid is never used twice, so that the denial of such a pod has no effect any more. It also
 * adds the names by which the API server is asked, where a denial has none.
 */
export class DenialUpkeep {
  readonly #options: DenialUpkeepOptions;
  /** Names that are not in the document yet, by uid. */
  readonly #names = new Map<string, NamespacedName>();

  constructor(options: DenialUpkeepOptions) {
    this.#options = options;
  }

  /** Works every hour and when other pods are denied than before, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { scheduler, store, pods } = this.#options;
    if (pods === undefined) return;
    using _subscription = store.onPodsChange(() => this.#schedule());
    this.#schedule();
    await waitUntilAborted(signal);
    await scheduler.cancel(jobKey);
  }

  /** Writes the name of a denied pod, which the API server has confirmed, into its denial soon. */
  addName(podUid: string, { namespace, name }: NamespacedName): void {
    if (this.#options.pods === undefined || this.#names.has(podUid)) return;
    this.#names.set(podUid, { namespace, name });
    this.#schedule();
  }

  /** Removes denials of pods that are gone, also before their certificates have expired; whether there were any. */
  async removeSomeGone(signal: AbortSignal): Promise<boolean> {
    const { pods, store } = this.#options;
    if (pods === undefined) return false;
    const oldestFirst = store.pods()
      .sort((left, right) => Temporal.Instant.compare(left.checkAt, right.checkAt));
    const asked = await askDeniedPods(pods, oldestFirst, signal, ({ gone }) => gone.size > 0);
    if (asked.gone.size === 0) return false;
    await this.#update({ gone: asked.gone, existing: new Set() }, signal);
    return true;
  }

  #schedule(): void {
    const { scheduler, clock } = this.#options;
    scheduler.schedule(jobKey, clock.now(), (signal) => this.#work(signal));
  }

  async #work(signal: AbortSignal): Promise<Temporal.Instant> {
    const { pods, store, clock } = this.#options;
    if (pods !== undefined) {
      await this.#findNames(signal);
      const now = clock.now();
      const due = store.pods()
        .filter(({ checkAt }) => Temporal.Instant.compare(checkAt, now) <= 0);
      const asked = await askDeniedPods(pods, due, signal);
      if (asked.gone.size + asked.existing.size + this.#names.size > 0) {
        await this.#update(asked, signal);
      }
    }
    return clock.now().add(every);
  }

  /** Another replica may have issued to the pod which an administrator named by its uid alone. */
  async #findNames(signal: AbortSignal): Promise<void> {
    const { store, confirmation, inventory } = this.#options;
    for (const { podUid, pod } of store.pods()) {
      if (pod !== undefined || this.#names.has(podUid)) continue;
      const name = await confirmation.nameOf(claimsOf(inventory, podUid), signal);
      if (name !== undefined) this.#names.set(podUid, name);
    }
  }

  async #update({ gone, existing }: DeniedPods, signal: AbortSignal): Promise<void> {
    const { store, lastExpiry } = this.#options;
    const names = new Map(this.#names);
    const removed = store.pods().filter(({ podUid }) => gone.has(podUid));
    await store.changePods((denials) => {
      for (const [uid, denial] of [...denials]) {
        const pod = denial.pod ?? names.get(uid);
        const checkAt = existing.has(uid) ? lastExpiry() : denial.checkAt;
        if (gone.has(uid)) denials.delete(uid);
        else denials.set(uid, { ...denial, pod, checkAt });
      }
    }, signal);
    for (const uid of names.keys()) this.#names.delete(uid);
    for (const denial of removed) logRemoval(denial);
  }
}

function logRemoval({ podUid, pod }: Denial): void {
  logger.info("the denial of pod {pod} ({podUid}) is removed: the pod is gone", {
    pod: `${pod?.namespace}/${pod?.name}`,
    podUid,
  });
}
