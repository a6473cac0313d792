import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { SharedDocument } from "../documents/shared_document.ts";
import { type CandidateCa, nextTrustState, type RotationSettings } from "./rotation.ts";
import {
  emptyTrustState,
  formatTrustState,
  parseTrustState,
  type TrustState,
} from "./trust_state.ts";

const logger = getLogger(["cert-service", "ca"]);

/** Other replicas that write at the same time have finished after so many tries. */
const maxAttempts = 20;

/**
 * Brings the document, and so all replicas, to the state that follows from it now, and answers with
 * that state. Another replica's write in between is taken in first. Rejects when the document cannot
 * be read or written.
 */
export async function updateTrustDocument(
  { document, clock, settings }: {
    readonly document: SharedDocument;
    readonly clock: Clock;
    readonly settings: RotationSettings;
  },
  /** Takes the place of a document that is gone or broken. */
  known: TrustState | undefined,
  candidate: CandidateCa | undefined,
  signal: AbortSignal,
): Promise<TrustState> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const text = await document.read(signal);
    const before = (text && stateOf(text.data, known)) ?? known ?? emptyTrustState;
    const after = nextTrustState(before, candidate, clock.now(), settings);
    const data = { ...text?.data, ...formatTrustState(after) };
    const isWritten = text === undefined
      ? after.anchors.length === 0
      : Object.entries(data).every(([key, value]) => text.data[key] === value);
    if (isWritten || await document.write(data, text?.version, signal)) return after;
  }
  throw new Error("the trust bundle's document changes faster than it can be written");
}

/** Undefined where the data say less than is known. */
function stateOf(
  data: Readonly<Record<string, string>>,
  known: TrustState | undefined,
): TrustState | undefined {
  if (known !== undefined && data["state.json"] === undefined) return undefined;
  const parsed = parseTrustState(data);
  if (parsed.kind === "state") return parsed.state;
  const { problem } = parsed;
  logger.error("the trust bundle's document is written again: {problem}", { problem });
  if (known !== undefined) return undefined;
  const bundle = parseTrustState({ "ca.crt": data["ca.crt"] ?? "" });
  return bundle.kind === "state" ? bundle.state : undefined;
}
