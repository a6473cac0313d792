import type { NodeInfo } from "../../shared/gen/certificate_service_pb.ts";
import { instantText } from "./certificate_text.ts";
import { TextTable } from "./text_table.ts";

/** The table of `nodes`. */
export function nodeTable(): TextTable<NodeInfo> {
  const titles = ["NODE", "DRIVER", "LAST REPORT", "CLOCK", "VOLUMES", "STATE"];
  return new TextTable(titles, (node) => [
    node.name,
    node.driverVersion || "-",
    instantText(node.lastReportAt) ?? "-",
    clockText(node.clockSkewMs),
    node.volumes === undefined ? "-" : String(node.volumes),
    node.silent ? "silent" : "ok",
  ]);
}

/** The node's clock as seen from the service. */
function clockText(skewMs: bigint | undefined): string {
  if (skewMs === undefined) return "-";
  const seconds = Math.round(Number(skewMs) / 1000);
  if (seconds === 0) return "ok";
  return seconds > 0 ? `${seconds} s behind` : `${-seconds} s ahead`;
}

/** One line of JSON; a property that is not known is null. */
export function nodeJson(node: NodeInfo): string {
  return JSON.stringify({
    name: node.name,
    lastReportAt: instantText(node.lastReportAt) ?? null,
    silent: node.silent,
    driverVersion: node.driverVersion || null,
    clockSkewSeconds: node.clockSkewMs === undefined ? null : Number(node.clockSkewMs) / 1000,
    volumes: node.volumes ?? null,
  }) + "\n";
}
