import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type SharedDocument, updateDocument } from "../documents/shared_document.ts";
import type { LoadedCa } from "./loaded_ca.ts";
import { nextTrustState, type RotationSettings } from "./rotation.ts";
import { isOlder } from "./rotation_record.ts";
import {
  emptyTrustState,
  formatTrustState,
  parseRotationRecord,
  parseTrustState,
  type TrustState,
} from "./trust_state.ts";
import { mergeUntrusted } from "./untrusted_roots.ts";

const logger = getLogger(["cert-service", "ca"]);

/** The largest number that the record can contain. */
const mostWrites = 999_999_999_999_999;

/** The CAs that a replica has of its source. */
export interface SourceCas {
  /** What the state does not contain yet. */
  readonly candidate: LoadedCa | undefined;
  /** What was put into the state last. */
  readonly latest: LoadedCa | undefined;
}

/**
 * Computes the state that follows now from the document and the candidate, and writes it. Returns
 * that state, or why the candidate is not in it. A write of another replica in between is taken into
 * account. Rejects when the document cannot be read or written.
 */
export async function updateTrustDocument(
  { document, clock, settings }: {
    readonly document: SharedDocument;
    readonly clock: Clock;
    readonly settings: RotationSettings;
  },
  /** Replaces a document that is missing, broken, or older than it. */
  known: TrustState | undefined,
  { candidate, latest }: SourceCas,
  signal: AbortSignal,
): Promise<ReturnType<typeof nextTrustState>> {
  return await updateDocument(document, (content) => {
    const before = stateBefore(content?.data, known);
    const offered = candidate ?? (lacks(before, latest) ? latest : undefined);
    const value = nextTrustState(before, offered, clock.now(), settings);
    const write = (state: TrustState) => ({ ...content?.data, ...formatTrustState(state) });
    const data = write(value.state);
    const isWritten = content === undefined
      ? value.state.anchors.length === 0
      : Object.entries(data).every(([key, text]) => content.data[key] === text);
    if (isWritten) return { value, data: undefined };
    const state = { ...value.state, revision: Math.min(before.revision + 1, mostWrites) };
    return { value: { ...value, state }, data: write(state) };
  }, signal);
}

/**
 * The document's state. What a replica knows replaces one that is missing, broken, or older than that, as
 * after a former copy was applied again. The two lists of untrusted roots are merged.
 */
function stateBefore(
  data: Readonly<Record<string, string>> | undefined,
  known: TrustState | undefined,
): TrustState {
  const { record, problems } = parseRotationRecord(data ?? {});
  for (const problem of problems) {
    logger.error("the trust bundle's document is damaged and is written again: {problem}", {
      problem,
    });
  }
  const isFormer = known !== undefined && record.revision < known.revision;
  const read = data && !isFormer ? readDocument(data, known) : undefined;
  const state = read ?? known ?? { ...emptyTrustState, ...record };
  return { ...state, untrusted: mergeUntrusted(record.untrusted, known?.untrusted ?? []) };
}

/** Whether a state lacks the CA that was put into it, as after a document was lost or edited. */
function lacks({ signing, pending, source }: TrustState, latest: LoadedCa | undefined): boolean {
  return (signing === undefined && pending === undefined) || isOlder(source, latest?.source);
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
  const { "state.json": _damaged, ...bundle } = data;
  const withoutState = parseTrustState(bundle);
  return withoutState.kind === "state" ? withoutState.state : undefined;
}
