import { getLogger } from "@logtape/logtape";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { Client } from "../../shared/grpc_client/client.ts";
import { pause, waitUntilAborted } from "../../shared/scheduler/abort_signals.ts";
import { fullJitterDelay } from "../../shared/scheduler/backoff.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import {
  type MountedCertificate,
  type NodeVolume,
  type ReportPart,
  reportParts,
} from "./report_parts.ts";

const logger = getLogger(["csi-driver", "report"]);
/** More than an overloaded service needs. */
const timeoutMs = 60_000;
/** A node is silent for the service after 15 minutes without a report. The nodes' reports are spread over a minute. */
const intervalMs = 270_000;
const intervalSpreadMs = 60_000;
/** Between two attempts to report everything: a service refuses a report for the reason of a moment, or of hours. */
const backoff = { baseMs: 10_000, maxMs: 300_000 };
/** A drained node unpublishes many volumes at once: they are released in one message. */
const releaseDelayMs = 2_000;
/** More would not fit into one message, of which the service accepts 1,024 fields. */
const maxReleased = 300;

/** What this node has. */
export interface NodeReportSource {
  readonly volumes: () => readonly NodeVolume[];
  /** The certificates in the volumes with these ids; a volume that cannot be read is left out. */
  readonly readMounted: (
    volumeIds: ReadonlySet<string>,
  ) => Promise<readonly MountedCertificate[]>;
  /** How far the service's clock is ahead of the node's; undefined until it was measured. */
  readonly clockSkewMs: () => number | undefined;
}

export interface NodeReporterOptions {
  readonly client: Client<typeof CertificateService>;
  readonly clock: Pick<Clock, "after">;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly driverVersion: string;
}

/**
 * Reports to the service which volumes this node has and what they hold, so that a restarted service
 * has its inventory again and does not wait for the renewal of a volume that is gone.
 */
export class NodeReporter {
  readonly #options: NodeReporterOptions;
  /** Serial numbers by volume id: volumes that were unpublished since the last report. */
  readonly #released = new Map<string, string>();
  #hasReleased = new AbortController();

  constructor(options: NodeReporterOptions) {
    this.#options = options;
  }

  /** A volume was unpublished: the service receives it soon, or by the next report, which lacks it. */
  release({ volumeId, serialNumber }: NodeVolume): void {
    if (this.#released.size < maxReleased) this.#released.set(volumeId, serialNumber);
    this.#hasReleased.abort();
  }

  /** Reports now, again every 5 minutes, and what is released between, until the signal is aborted; never rejects. */
  async run(source: NodeReportSource, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    // The replica at the other end of this connection knows these certificates, by volume id.
    const received = new Map<string, string>();
    while (!signal.aborted) {
      await this.#reportUntilReceived(source, received, signal);
      const due = new AbortController();
      using _timer = clock.after(intervalMs + random() * intervalSpreadMs, () => due.abort());
      await this.#sendReleased(source, AbortSignal.any([signal, due.signal]));
    }
  }

  async #reportUntilReceived(
    source: NodeReportSource,
    received: Map<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, random } = this.#options;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        return await this.#report(source, received, signal);
      } catch (error) {
        if (signal.aborted) return;
        // Logged once for each report.
        if (failures === 1) {
          logger.warn(
            "the certificates of this node cannot be reported, to be tried again: {reason}",
            { reason: errorMessage(error) },
          );
        }
        await pause(clock, fullJitterDelay(failures, backoff, random), signal);
      }
    }
  }

  /**
   * A complete report: the ids of all volumes, and the certificates that were not received before. A part that fails does
   * not keep the others from the service; then the first error is thrown at the end.
   */
  async #report(
    source: NodeReportSource,
    received: Map<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    const volumes = source.volumes();
    this.#clearReleased();
    const ids = new Set(volumes.map(({ volumeId }) => volumeId));
    for (const volumeId of received.keys()) if (!ids.has(volumeId)) received.delete(volumeId);
    const unknown = volumes.filter(({ volumeId, serialNumber }) =>
      received.get(volumeId) !== serialNumber
    );
    const mounted = unknown.length === 0
      ? []
      : await source.readMounted(new Set(unknown.map(({ volumeId }) => volumeId)));
    const reportId = crypto.randomUUID();
    const parts = reportParts(volumes, mounted);
    const errors: unknown[] = [];
    for (const [part, content] of parts.entries()) {
      const position = { reportId, part, isLast: part === parts.length - 1 };
      try {
        if (await this.#sendPart(source, content, position, signal)) {
          for (const { volumeId, serialNumber } of content.certificates) {
            received.set(volumeId, serialNumber);
          }
        }
      } catch (error) {
        signal.throwIfAborted();
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Whether the service accepted all certificates of the part. */
  async #sendPart(
    source: NodeReportSource,
    { certificates, volumeIds }: ReportPart,
    position: { reportId: string; part: number; isLast: boolean },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { client } = this.#options;
    const held = certificates
      .map(({ certificate, pod, volumeId }) => ({ certificate, pod: { ...pod }, volumeId }));
    const { accepted, refused } = await client.reportCertificates(
      { ...this.#node(source), ...position, certificates: held, volumeIds },
      { signal, timeoutMs },
    );
    if (certificates.length > 0) {
      logger.info("reported {accepted} certificates to the service, {refused} refused", {
        accepted,
        refused,
      });
    }
    return refused === 0;
  }

  /** Sends what is released until the next report is due. */
  async #sendReleased(source: NodeReportSource, due: AbortSignal): Promise<void> {
    const { client, clock } = this.#options;
    while (!due.aborted) {
      await waitUntilAborted(AbortSignal.any([due, this.#hasReleased.signal]));
      await pause(clock, releaseDelayMs, due);
      if (due.aborted) return;
      const released = [...this.#released].map(([volumeId, serialNumber]) => (
        { volumeId, serialNumber }
      ));
      this.#clearReleased();
      // An error has no consequence: the next report lacks these volumes.
      await client.reportCertificates(
        { ...this.#node(source), released },
        { signal: due, timeoutMs },
      ).catch(() => {});
    }
  }

  #clearReleased(): void {
    this.#released.clear();
    this.#hasReleased = new AbortController();
  }

  #node({ clockSkewMs }: NodeReportSource) {
    const skewMs = clockSkewMs();
    return {
      driverVersion: this.#options.driverVersion,
      ...(skewMs === undefined ? {} : { clockSkewMs: BigInt(Math.round(skewMs)) }),
    };
  }
}
