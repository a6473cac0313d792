import type { DatabaseSync, StatementSync } from "node:sqlite";
import { yieldToEventLoop } from "../../shared/scheduler/event_loop_yield.ts";
import { type CertificateRow, rowEntry } from "./certificate_row.ts";
import type { InventoryEntry, InventoryFilter } from "./inventory_entry.ts";

/** Reading so many rows takes less than a millisecond. */
const rowsPerSlice = 2_000;
/** Making entries of so many rows takes a millisecond. A page of usual entries has 80 KiB; gRPC allows 4 MiB. */
const rowsPerPage = 200;

/** The columns of a filter, the one that selects the fewest rows first; each has an index. */
const filterColumns = [
  ["podUid", "pod_uid"],
  ["podName", "pod_name"],
  ["node", "node"],
  ["namespace", "namespace"],
] as const satisfies readonly (readonly [keyof InventoryFilter, keyof CertificateRow])[];

type FilterColumn = typeof filterColumns[number][1];

/** The two statements of a search that reads the table by one index. */
interface SearchStatements {
  /** The last id of the slice that follows an id. */
  readonly sliceEnd: StatementSync;
  /** Rows of the slice that match the whole filter. */
  readonly page: StatementSync;
}

/** Reads the table in slices of its rows, so that no search holds the event loop, whatever it finds. */
export class CertificateSearch {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<FilterColumn | undefined, SearchStatements>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** The matching entries in the order of their insertion, in pages that are never empty. */
  async *pages(filter: InventoryFilter): AsyncGenerator<InventoryEntry[]> {
    const given = filterColumns.find(([field]) => filter[field] !== undefined);
    const { sliceEnd, page } = this.#prepared(given?.[1]);
    const value = given && { value: filter[given[0]]! };
    const all = Object.fromEntries(
      filterColumns.map(([field, column]) => [column, filter[field] ?? null]),
    );
    for (let after = 0;;) {
      const { end } = sliceEnd.get({ after, ...value }) as { end: number | null };
      if (end === null) return;
      while (after < end) {
        const rows = page.all({ after, end, ...value, ...all }) as unknown as CertificateRow[];
        after = rows.length < rowsPerPage ? end : rows.at(-1)!.id;
        if (rows.length > 0) yield rows.map(rowEntry);
        await yieldToEventLoop();
      }
    }
  }

  /** The statements that read by the index of a column; without one, by id. */
  #prepared(column: FilterColumn | undefined): SearchStatements {
    const known = this.#statements.get(column);
    if (known !== undefined) return known;
    const rows = column === undefined
      ? "certificates WHERE id > :after"
      : `certificates INDEXED BY certificates_${column} WHERE ${column} = :value AND id > :after`;
    const matches = filterColumns
      .map(([, column]) => `AND (:${column} IS NULL OR ${column} = :${column})`).join(" ");
    const statements = {
      sliceEnd: this.#database.prepare(
        `SELECT max(id) AS end FROM (SELECT id FROM ${rows} ORDER BY id LIMIT ${rowsPerSlice})`,
      ),
      page: this.#database.prepare(
        `SELECT * FROM ${rows} AND id <= :end ${matches} ORDER BY id LIMIT ${rowsPerPage}`,
      ),
    };
    this.#statements.set(column, statements);
    return statements;
  }
}
