import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type SharedDocument, updateDocument } from "../documents/shared_document.ts";
import type { LoadedCa } from "./loaded_ca.ts";
import { nextTrustState, type RotationSettings } from "./rotation.ts";
import {
  emptyTrustState,
  formatTrustState,
  parseTrustState,
  type TrustState,
} from "./trust_state.ts";

const logger = getLogger(["cert-service", "ca"]);

/**
 * Computes the state that follows now from the document and the candidate, and writes it. Returns
 * that state. A write of another replica in between is taken into account. Rejects when the document
 * cannot be read or written.
 */
export async function updateTrustDocument(
  { document, clock, settings }: {
    readonly document: SharedDocument;
    readonly clock: Clock;
    readonly settings: RotationSettings;
  },
  /** Replaces a document that is missing or broken. */
  known: TrustState | undefined,
  candidate: LoadedCa | undefined,
  signal: AbortSignal,
): Promise<TrustState> {
  return await updateDocument(document, (content) => {
    const before = (content && readDocument(content.data, known)) ?? known ?? emptyTrustState;
    const after = nextTrustState(before, candidate, clock.now(), settings);
    const data = { ...content?.data, ...formatTrustState(after) };
    const isWritten = content === undefined
      ? after.anchors.length === 0
      : Object.entries(data).every(([key, value]) => content.data[key] === value);
    return { value: after, data: isWritten ? undefined : data };
  }, signal);
}

/** Undefined where the data state less than is known. */
function readDocument(
  data: Readonly<Record<string, string>>,
  known: TrustState | undefined,
): TrustState | undefined {
  if (known !== undefined && data["state.json"] === undefined) return undefined;
  const parsed = parseTrustState(data);
  if (parsed.kind === "state") return parsed.state;
  const { problem } = parsed;
  logger.error("the trust bundle's document is not valid and is written again: {problem}", {
    problem,
  });
  if (known !== undefined) return undefined;
  const bundle = parseTrustState({ "ca.crt": data["ca.crt"] ?? "" });
  return bundle.kind === "state" ? bundle.state : undefined;
}
