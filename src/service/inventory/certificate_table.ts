import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  certificateColumns,
  type CertificateRow,
  certificateValues,
  type RowState,
  volumeColumns,
  volumeValues,
} from "./certificate_row.ts";
import { CertificateSearch } from "./certificate_search.ts";
import type { InventoryEntry } from "./inventory_entry.ts";
import { NodeVolumes } from "./node_volumes.ts";

/** What is needed to remove a row and to count it. */
export type RowSize = Pick<CertificateRow, "id" | "node" | "bytes">;

/** How many expired rows are read at once: their removal takes 4 ms. */
export const mostExpired = 200;

const sizeColumns = "id, node, bytes";
const podColumns = [
  "id",
  "node",
  "bytes",
  "serial_number",
  "origin",
  "volume_id",
  "namespace",
  "pod_name",
  "not_before",
  "predecessor",
  "predecessor_known",
] as const satisfies readonly (keyof CertificateRow)[];

/** A row of a pod, with what decides whether another certificate replaces it. */
export type PodRow = Pick<CertificateRow, typeof podColumns[number]>;

const schema = `
  CREATE TABLE certificates (
    id INTEGER PRIMARY KEY,
    serial_number TEXT NOT NULL,
    origin TEXT NOT NULL,
    pod_uid TEXT NOT NULL,
    volume_id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    pod_name TEXT NOT NULL,
    service_account TEXT NOT NULL,
    node TEXT,
    names TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    predecessor TEXT,
    predecessor_known INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    listed INTEGER NOT NULL DEFAULT 0,
    released INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE UNIQUE INDEX certificates_serial_number ON certificates (serial_number);
  CREATE INDEX certificates_predecessor ON certificates (predecessor) WHERE predecessor_known;
  CREATE INDEX certificates_not_after ON certificates (listed, not_after);
  CREATE INDEX certificates_pod_uid ON certificates (pod_uid);
  -- The order of searches; with the node, so that a search for a node reads only its rows.
  CREATE INDEX certificates_order ON certificates (namespace, pod_name, pod_uid, node);
  CREATE INDEX certificates_node ON certificates (node);
  -- Never committed: a commit after the table has grown takes time that grows with the table, 2 ms
  -- at 400,000 rows. The journal, which is in memory, keeps no more than the pages of the empty table.
  BEGIN;
`;

/** The certificates as a table in memory: all SQL but that of searches, and none of the inventory's rules. */
export class CertificateTable implements Disposable {
  readonly #database = new DatabaseSync(":memory:");
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #remove: StatementSync;
  readonly #bySerialNumber: StatementSync;
  readonly #byPredecessor: StatementSync;
  readonly #ofPod: StatementSync;
  readonly #oldestOfNode: StatementSync;
  readonly #firstToExpire: StatementSync;
  readonly #expired: StatementSync;
  /** Ids ascend and are never used again: a search that reads by id finds what is added meanwhile. */
  #lastId = 0;
  /** Searches the table. */
  readonly search: CertificateSearch;
  /** What nodes report of their volumes. */
  readonly volumes: NodeVolumes;

  constructor() {
    this.#database.exec(schema);
    this.search = new CertificateSearch(this.#database);
    this.volumes = new NodeVolumes(this.#database);
    const prepare = (sql: string) => this.#database.prepare(sql);
    const inserted = ["id", ...volumeColumns, ...certificateColumns];
    this.#insert = prepare(
      `INSERT OR IGNORE INTO certificates (${inserted}) VALUES (${inserted.map(() => "?")})`,
    );
    // Changes three indexes where a removal and an insertion change six.
    this.#update = prepare(
      `UPDATE OR IGNORE certificates
       SET ${certificateColumns.map((column) => `${column} = ?`)}, released = 0 WHERE id = ?`,
    );
    this.#remove = prepare("DELETE FROM certificates WHERE id = ?");
    this.#bySerialNumber = prepare("SELECT * FROM certificates WHERE serial_number = ?");
    this.#byPredecessor = prepare(
      "SELECT * FROM certificates WHERE predecessor = ? AND predecessor_known LIMIT 1",
    );
    this.#ofPod = prepare(
      `SELECT ${podColumns} FROM certificates WHERE pod_uid = ? ORDER BY id`,
    );
    this.#oldestOfNode = prepare(
      `SELECT ${sizeColumns} FROM certificates WHERE node = ? ORDER BY id LIMIT 1`,
    );
    // A limit that is a parameter makes SQLite compile the statement again for each run.
    this.#firstToExpire = prepare(
      `SELECT ${sizeColumns}, not_after FROM certificates WHERE listed = ?
       ORDER BY not_after, id LIMIT 1`,
    );
    this.#expired = prepare(
      `SELECT ${sizeColumns} FROM certificates WHERE listed = 0 AND not_after < ?
       ORDER BY not_after, id LIMIT ${mostExpired}`,
    );
  }

  /** Adds a row, whose size in bytes is given; returns whether its serial number is new. */
  insert(entry: InventoryEntry, state: RowState, bytes: number): boolean {
    const values = [...volumeValues(entry), ...certificateValues(entry, state, bytes)];
    return this.#insert.run(++this.#lastId, ...values).changes === 1;
  }

  /** Puts another certificate of the same volume into a row; returns as `insert` does. */
  update(id: number, entry: InventoryEntry, state: RowState, bytes: number): boolean {
    return this.#update.run(...certificateValues(entry, state, bytes), id).changes === 1;
  }

  remove(id: number): void {
    this.#remove.run(id);
  }

  find(serialNumber: string): CertificateRow | undefined {
    return this.#bySerialNumber.get(serialNumber) as CertificateRow | undefined;
  }

  /** The row of the certificate that replaced the one with this serial number. */
  findSuccessor(serialNumber: string): CertificateRow | undefined {
    return this.#byPredecessor.get(serialNumber) as CertificateRow | undefined;
  }

  /** The rows of a pod, the oldest first. */
  ofPod(uid: string): PodRow[] {
    return this.#ofPod.all(uid) as unknown as PodRow[];
  }

  oldestOfNode(node: string): RowSize | undefined {
    return this.#oldestOfNode.get(node) as RowSize | undefined;
  }

  firstToExpire(): RowSize | undefined {
    type Row = RowSize & Pick<CertificateRow, "not_after">;
    const [unlisted, listed] = [0, 1].map((each) =>
      this.#firstToExpire.get(each)
    ) as (Row | undefined)[];
    if (unlisted === undefined || listed === undefined) return unlisted ?? listed;
    return unlisted.not_after <= listed.not_after ? unlisted : listed;
  }

  /**
   * Rows that had expired at an instant and that no node lists, the first to expire first, at most
   * `mostExpired`.
   */
  expired(now: number): RowSize[] {
    return this.#expired.all(now) as unknown as RowSize[];
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
