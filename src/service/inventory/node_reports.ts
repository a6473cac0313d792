import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import type { Inventory } from "./inventory.ts";
import { type ReportPart, UnfinishedReports } from "./unfinished_reports.ts";

/** What a driver states in one request. All of it is about its own node. */
export interface NodeReportPart extends ReportPart {
  readonly released: readonly { readonly volumeId: string; readonly serialNumber: string }[];
  /** Undefined for a driver of a version that makes no complete reports. */
  readonly driverVersion: string | undefined;
  readonly clockSkewMs: number | undefined;
}

/** What is known of a node from its last report. */
export interface NodeStatus {
  readonly name: string;
  readonly reportedAt: Temporal.Instant;
  readonly isSilent: boolean;
  readonly driverVersion: string | undefined;
  /** How far the service's clock is ahead of the node's. */
  readonly clockSkewMs: number | undefined;
  /** How many volumes the last complete report contained; undefined before the first one. */
  readonly volumes: number | undefined;
}

type NodeRecord = Omit<NodeStatus, "isSilent">;

/** A driver reports every 5 minutes: two reports may be lost. */
const silentAfter = Temporal.Duration.from({ minutes: 15 });
/** From then on a silent node's certificates are removed when they expire, as if it did not exist. */
const forgottenAfter = Temporal.Duration.from({ hours: 24 });
/** A certificate that was issued so shortly before a report may be about to be mounted; the kubelet waits for 2 minutes. */
const longestPublish = Temporal.Duration.from({ minutes: 3 });
/** Kubernetes supports 5,000 nodes. */
const maxNodes = 10_000;

const jobKey = "node-reports-expiry";
const sweepSeconds = 60;

export interface NodeReportsOptions {
  readonly inventory: Inventory;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly maxNodes?: number;
}

/** The last report of each node. A node's name is the authenticated one: no node states anything of another. */
export class NodeReports {
  readonly #options: NodeReportsOptions;
  /** The node whose report is the oldest first. */
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #unfinished = new UnfinishedReports();

  constructor(options: NodeReportsOptions) {
    this.#options = options;
  }

  /** Receives a part; the last one of a complete report decides which volumes the node has. */
  async receive(node: string, part: NodeReportPart): Promise<void> {
    const { inventory, clock } = this.#options;
    for (const { volumeId, serialNumber } of part.released) {
      inventory.releaseVolume(node, volumeId, serialNumber);
    }
    const complete = this.#unfinished.add(node, part, clock.now());
    if (complete !== undefined) {
      const issuedUntil = complete.startedAt.subtract(longestPublish);
      await inventory.listVolumes(node, complete.volumeIds, issuedUntil);
    }
    // An older driver's first report after a downgrade says nothing of the volumes any more.
    const known = part.driverVersion === undefined ? undefined : this.#nodes.get(node)?.volumes;
    await this.#record({
      name: node,
      reportedAt: clock.now(),
      driverVersion: part.driverVersion,
      clockSkewMs: part.clockSkewMs,
      volumes: complete?.volumeIds.size ?? known,
    });
  }

  /** Whether a node has made a complete report, and has not reported for 15 minutes. */
  isSilent(node: string | undefined): boolean {
    const record = node === undefined ? undefined : this.#nodes.get(node);
    return record !== undefined && this.#isSilent(record);
  }

  /** All nodes, in the order of their names. */
  all(): NodeStatus[] {
    return [...this.#nodes.values()]
      .sort((one, other) => one.name < other.name ? -1 : 1)
      .map((record) => ({ ...record, isSilent: this.#isSilent(record) }));
  }

  #isSilent({ volumes, reportedAt }: NodeRecord): boolean {
    return volumes !== undefined && this.#isOlder(reportedAt, silentAfter);
  }

  #isOlder(at: Temporal.Instant, age: Temporal.Duration): boolean {
    return Temporal.Instant.compare(at, this.#options.clock.now().subtract(age)) < 0;
  }

  async #record(record: NodeRecord): Promise<void> {
    this.#nodes.delete(record.name);
    this.#nodes.set(record.name, record);
    this.#scheduleSweep();
    const [oldest] = this.#nodes.keys();
    if (oldest !== undefined && this.#nodes.size > (this.#options.maxNodes ?? maxNodes)) {
      this.#nodes.delete(oldest);
      // No sweep does it for a node that is not known.
      await this.#options.inventory.forgetVolumes(oldest);
    }
  }

  #scheduleSweep(): void {
    const { scheduler, clock } = this.#options;
    if (scheduler.nextRun(jobKey) !== undefined) return;
    const next = () => clock.now().add({ seconds: sweepSeconds });
    scheduler.schedule(jobKey, next(), async () => {
      await this.#sweep();
      return next();
    });
  }

  /** Ends what is kept for nodes that have not reported for a day, or whose driver makes no complete reports. */
  async #sweep(): Promise<void> {
    const { inventory } = this.#options;
    for (const record of [...this.#nodes.values()]) {
      const { name, volumes, reportedAt } = record;
      // It has reported during the sweep.
      if (this.#nodes.get(name) !== record) continue;
      const isForgotten = this.#isOlder(reportedAt, forgottenAfter);
      if (volumes !== undefined && !isForgotten) continue;
      await inventory.forgetVolumes(name);
      const isLatest = this.#nodes.get(name) === record;
      // Until then its certificates are those of a silent node.
      if (isForgotten && isLatest && inventory.ofNode(name) === 0) this.#nodes.delete(name);
    }
  }
}
