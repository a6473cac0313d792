/** A part of a node's report. */
export interface ReportPart {
  /** Undefined for a request that is no part of a complete report. */
  readonly reportId: string | undefined;
  /** From 0. */
  readonly part: number;
  readonly isLast: boolean;
  readonly volumeIds: readonly string[];
}

/** The volumes of a node, when all parts of its report have been received. */
export interface CompleteReport {
  /** When its first part was received. */
  readonly startedAt: Temporal.Instant;
  readonly volumeIds: ReadonlySet<string>;
}

interface UnfinishedReport {
  readonly reportId: string;
  readonly startedAt: Temporal.Instant;
  readonly volumeIds: Set<string>;
  nextPart: number;
}

/** As many as a node's certificates in the inventory. A report with more is never complete. */
const maxVolumesOfNode = 10_000;
/** Of all unfinished reports; an id with its place in a set costs about 150 bytes. */
const maxVolumes = 200_000;

/** Collects the parts of each node's report, of which each has one. A part that is missing or repeated ends it. */
export class UnfinishedReports {
  /** By node, the oldest first. */
  readonly #reports = new Map<string, UnfinishedReport>();
  #volumes = 0;

  /** Adds a part; returns the report if that makes it complete. */
  add(
    node: string,
    { reportId, part, isLast, volumeIds }: ReportPart,
    now: Temporal.Instant,
  ): CompleteReport | undefined {
    if (reportId === undefined) return undefined;
    const former = this.#reports.get(node);
    // The rest of an older report, whose driver has begun another one or has been replaced.
    if (former?.reportId !== reportId && part !== 0) return undefined;
    const isNext = former?.reportId === reportId && former.nextPart === part;
    if (!isNext) this.#drop(node);
    if (!isNext && part !== 0) return undefined;
    const report = isNext
      ? former
      : { reportId, startedAt: now, volumeIds: new Set<string>(), nextPart: 0 };
    const countBefore = report.volumeIds.size;
    for (const volumeId of volumeIds) report.volumeIds.add(volumeId);
    report.nextPart++;
    this.#reports.set(node, report);
    this.#volumes += report.volumeIds.size - countBefore;
    if (isLast || report.volumeIds.size > maxVolumesOfNode) this.#drop(node);
    this.#dropExcess();
    return isLast && report.volumeIds.size <= maxVolumesOfNode ? report : undefined;
  }

  #dropExcess(): void {
    for (const node of this.#reports.keys()) {
      if (this.#volumes <= maxVolumes) return;
      this.#drop(node);
    }
  }

  #drop(node: string): void {
    this.#volumes -= this.#reports.get(node)?.volumeIds.size ?? 0;
    this.#reports.delete(node);
  }
}
