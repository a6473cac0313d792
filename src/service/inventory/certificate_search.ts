import type { DatabaseSync, StatementSync } from "node:sqlite";
import { yieldToEventLoop } from "../../shared/scheduler/event_loop_yield.ts";
import { type CertificateRow, rowEntry, wholeSeconds } from "./certificate_row.ts";
import type { InventoryFilter, StoredEntry } from "./inventory_entry.ts";

/** Reading so many entries of the index takes a millisecond. The last pod of a slice is read whole. */
const rowsPerSlice = 2_000;
/** Making entries of so many rows takes half a millisecond. A page of usual entries has 40 KiB; gRPC allows 4 MiB. */
const rowsPerPage = 100;

/** A place in the order of searches: the namespace, the name and the uid of a pod. */
type Place = readonly [namespace: string, podName: string, podUid: string];
type PlaceRow = Pick<CertificateRow, "namespace" | "pod_name" | "pod_uid">;
type FilterValues =
  & Record<"namespace" | "pod_name" | "pod_uid" | "node", string | null>
  & Record<"include_released" | "now", number>;

const order = "namespace, pod_name, pod_uid";
/** After every text of a pod. */
const last = "\u{10ffff}";

const source = "certificates INDEXED BY certificates_order";
const filters = ["namespace", "pod_name", "pod_uid", "node"]
  .map((column) => `AND (:${column} IS NULL OR ${column} = :${column})`)
  .concat("AND (:include_released OR NOT released) AND (listed OR not_after >= :now)").join(" ");

/** Reads the table in slices of its rows, so that no search holds the event loop, whatever it finds. */
export class CertificateSearch {
  readonly #sliceEnd: StatementSync;
  readonly #page: StatementSync;
  readonly #ofPod: StatementSync;

  constructor(database: DatabaseSync) {
    this.#sliceEnd = database.prepare(
      `SELECT ${order} FROM ${source} WHERE (${order}) > (?, ?, ?) AND (${order}) <= (?, ?, ?)
       ORDER BY ${order} LIMIT 1 OFFSET ${rowsPerSlice - 1}`,
    );
    this.#page = database.prepare(
      `SELECT * FROM ${source}
       WHERE (${order}) >= (:n, :p, :u) AND (${order}) <= (:endNamespace, :endPodName, :endPodUid)
         AND ((${order}) > (:n, :p, :u) OR id > :id) ${filters}
       ORDER BY ${order}, id LIMIT ${rowsPerPage}`,
    );
    this.#ofPod = database.prepare(
      `SELECT * FROM certificates WHERE pod_uid = :pod_uid ${filters} ORDER BY ${order}, id`,
    );
  }

  /**
   * The matching entries in pages that are never empty, in the order of their pods' namespaces, names and uids, and of
   * their insertion. Expired ones are among them only if their node still lists the volume.
   */
  async *pages(filter: InventoryFilter, now: Temporal.Instant): AsyncGenerator<StoredEntry[]> {
    const { namespace, podName, podUid, node } = filter;
    const values: FilterValues = {
      namespace: namespace ?? null,
      pod_name: podName ?? null,
      pod_uid: podUid ?? null,
      node: node ?? null,
      include_released: Number(filter.includeReleased ?? false),
      now: wholeSeconds(now),
    };
    if (podUid !== undefined) {
      // No more than the inventory keeps of a pod.
      const rows = this.#ofPod.all(values) as unknown as CertificateRow[];
      if (rows.length > 0) yield rows.map(rowEntry);
      return;
    }
    const isOnePod = namespace !== undefined && podName !== undefined;
    const start: Place = [namespace ?? "", isOnePod ? podName : "", ""];
    const end: Place = [namespace ?? last, isOnePod ? podName : last, last];
    for (let place: Place | undefined = start; place !== undefined;) {
      const sliceEnd = this.#sliceEnd.get(...place, ...end) as PlaceRow | undefined;
      yield* this.#slice(place, sliceEnd === undefined ? end : placeOf(sliceEnd), values);
      place = sliceEnd && placeOf(sliceEnd);
    }
  }

  /** The pages of the pods behind `after`, to the last one included. */
  async *#slice(after: Place, to: Place, values: FilterValues): AsyncGenerator<StoredEntry[]> {
    const [endNamespace, endPodName, endPodUid] = to;
    let place = after;
    let id = Number.MAX_SAFE_INTEGER;
    for (let isMore = true; isMore;) {
      const [n, p, u] = place;
      const bounds = { n, p, u, id, endNamespace, endPodName, endPodUid };
      const rows = this.#page.all({ ...bounds, ...values }) as unknown as CertificateRow[];
      if (rows.length > 0) yield rows.map(rowEntry);
      const lastRow = rows.at(-1);
      isMore = rows.length === rowsPerPage;
      if (lastRow) [place, id] = [placeOf(lastRow), lastRow.id];
      await yieldToEventLoop();
    }
  }
}

function placeOf({ namespace, pod_name, pod_uid }: PlaceRow): Place {
  return [namespace, pod_name, pod_uid];
}
