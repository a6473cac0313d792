import type { DatabaseSync, StatementSync } from "node:sqlite";
import { EventLoopLimiter } from "../../shared/scheduler/event_loop_yield.ts";
import type { CertificateRow } from "./certificate_row.ts";

/** Changing so many rows takes three milliseconds, which is done once in an iteration of the event loop. */
const rowsPerSlice = 200;

const columns = ["id", "volume_id", "not_before", "listed", "released"] as const;

type VolumeRow = Pick<CertificateRow, typeof columns[number]>;

/** What a report says of a row's volume; undefined where it says nothing. */
type Presence = Pick<VolumeRow, "listed" | "released"> | undefined;

const listed = { listed: 1, released: 0 };
const released = { listed: 0, released: 1 };

/** Writes into the table what nodes report of their volumes; each node changes only its own rows. */
export class NodeVolumes {
  readonly #database: DatabaseSync;
  readonly #ofNode: StatementSync;
  readonly #update: StatementSync;
  readonly #release: StatementSync;
  /** A node can send a hundred reports at once. */
  readonly #eventLoop = new EventLoopLimiter();

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#ofNode = database.prepare(
      `SELECT ${columns} FROM certificates INDEXED BY certificates_node
       WHERE node = ? AND id > ? ORDER BY id LIMIT ${rowsPerSlice}`,
    );
    this.#update = database.prepare(
      "UPDATE certificates SET listed = ?, released = ? WHERE id = ?",
    );
    this.#release = database.prepare(
      `UPDATE certificates SET listed = 0, released = 1
       WHERE serial_number = ? AND node = ? AND volume_id = ?`,
    );
  }

  /**
   * Lists the node's rows whose volumes are given, and releases its other rows, except those whose
   * certificate is not valid for as long as that: the node may be about to mount it.
   */
  async list(node: string, volumeIds: ReadonlySet<string>, notBefore: number): Promise<void> {
    await this.#change(node, (row) => {
      if (volumeIds.has(row.volume_id)) return listed;
      return row.not_before <= notBefore ? released : undefined;
    });
  }

  /** Releases the volume's row, if it has this certificate. */
  release(node: string, volumeId: string, serialNumber: string): void {
    this.#release.run(serialNumber, node, volumeId);
  }

  /** Lists no row of the node any more, so that each is removed when it has expired. */
  async forget(node: string): Promise<void> {
    await this.#change(node, ({ released }) => ({ listed: 0, released }));
  }

  async #change(node: string, presenceOf: (row: VolumeRow) => Presence): Promise<void> {
    for (let after = 0;;) {
      await this.#eventLoop.acquire();
      // The service can have stopped meanwhile.
      if (!this.#database.isOpen) return;
      const rows = this.#ofNode.all(node, after) as unknown as VolumeRow[];
      for (const row of rows) {
        const presence = presenceOf(row);
        if (
          presence === undefined ||
          presence.listed === row.listed && presence.released === row.released
        ) continue;
        this.#update.run(presence.listed, presence.released, row.id);
      }
      if (rows.length < rowsPerSlice) return;
      after = rows.at(-1)!.id;
    }
  }
}
