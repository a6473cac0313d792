import type { Volume } from "../../../src/driver/volume/volume_record.ts";
import type { ServiceState } from "./modelled_node.ts";

/** The expected state of one volume. */
export interface ModelVolume {
  /** Of the pod that the kubelet has now; undefined: there is none. */
  request: Volume | undefined;
  /** What the pod sees: nothing, a whole pair, or one that was damaged. */
  seen: "nothing" | "whole" | "damaged";
  /** Whether the driver knows it: it has a record in memory. */
  known: boolean;
  /** Whether its record on disk was lost or damaged. */
  recordLost: boolean;
}

/** The expected state of a node. */
export interface NodeModel {
  readonly volumes: ModelVolume[];
  service: ServiceState;
  /** For how long the service has been up, nothing was damaged and no clock has stepped. */
  calmMs: number;
  anchors: number;
  pods: number;
}

export function emptyModel(volumes: number): NodeModel {
  return {
    volumes: Array.from({ length: volumes }, () => unpublished()),
    service: "up",
    calmMs: 0,
    anchors: 0,
    pods: 0,
  };
}

export function unpublished(): ModelVolume {
  return { request: undefined, seen: "nothing", known: false, recordLost: false };
}

/** The longest time until every volume is healthy, once the service is and nothing is damaged: a sweep, a retry, a margin. */
export const healedMs = 7 * 60_000;
