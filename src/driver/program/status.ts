import type { Moment } from "../../shared/scheduler/clock.ts";
import { hasVolumeFiles } from "../mount/atomic_directory.ts";
import { readRecords } from "../records/record_reader.ts";
import { Disk } from "../../shared/linux/disk.ts";
import { describeFileError } from "../../shared/text/file_error.ts";
import type { VolumeRecord } from "../volume/volume_record.ts";
import type { DriverConfig } from "./config.ts";
import { expiryTime, isExpired } from "../certificates/certificate_terms.ts";
import { renewalDueInMs, renewalSpread } from "../certificates/renewal_time.ts";
import { openNodeClock } from "./node_clock.ts";
import { program } from "./open_parts.ts";

/** Prints the state of the node's volumes, and returns the program's exit code. */
export async function printStatus(
  { certBasePath }: Pick<DriverConfig, "certBasePath">,
): Promise<number> {
  let read: Awaited<ReturnType<typeof readRecords>>;
  try {
    read = await readRecords(new Disk(), certBasePath);
  } catch (error) {
    const problem = describeFileError(`CERT_BASE_PATH ${certBasePath}`, error);
    console.error(`${program}: ${problem}; run the command as the driver's own user`);
    return 1;
  }
  const { records, unreadable } = read;
  for (const { path, problem } of unreadable) console.error(`${program}: ${path}: ${problem}`);
  using clock = openNodeClock();
  console.log(formatStatusTable(volumeStatuses(records, hasVolumeFiles, clock.moment())));
  return 0;
}

/** One volume of this node, as `csi-driver status` shows it. */
export interface VolumeStatus {
  readonly pod: string;
  readonly serialNumber: string;
  readonly expiresAt: Temporal.Instant;
  readonly renewsAt: Temporal.Instant;
  readonly state: "ok" | "renewal overdue" | "expired" | "not mounted";
}

/** A renewal that works has ended this long after it was due. */
const overdueAfter = { minutes: 5 };

/** The node's volumes, the next to expire first. */
export function volumeStatuses(
  records: readonly VolumeRecord[],
  isPublished: (targetPath: string) => boolean,
  moment: Moment,
): VolumeStatus[] {
  const isPast = (at: Temporal.Instant) => Temporal.Instant.compare(at, moment.wall) <= 0;
  const rows = records.map((record): VolumeStatus => {
    const { pod, serialNumber, parsed: { renewBefore } } = record;
    const spread = renewalSpread(record.volumeId);
    const dueInMs = Math.ceil(renewalDueInMs(record, renewBefore, spread, moment));
    const renewsAt = moment.wall.add({ milliseconds: dueInMs });
    const state = !isPublished(record.targetPath)
      ? "not mounted"
      : isExpired(record, moment)
      ? "expired"
      : isPast(renewsAt.add(overdueAfter))
      ? "renewal overdue"
      : "ok";
    const expiresAt = expiryTime(record, moment);
    return { pod: `${pod.namespace}/${pod.name}`, serialNumber, expiresAt, renewsAt, state };
  });
  return rows.sort((left, right) => Temporal.Instant.compare(left.expiresAt, right.expiresAt));
}

/** The rows as aligned text under a heading; instants in UTC, to the second. */
export function formatStatusTable(rows: readonly VolumeStatus[]): string {
  const instant = (at: Temporal.Instant) => at.toString({ smallestUnit: "second" });
  const cells = [
    ["POD", "SERIAL", "EXPIRES", "RENEWS", "STATE"],
    ...rows.map((row) => [
      row.pod,
      row.serialNumber,
      instant(row.expiresAt),
      instant(row.renewsAt),
      row.state,
    ]),
  ];
  const widths = cells[0]!.map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0))
  );
  return cells.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()
  ).join("\n");
}
