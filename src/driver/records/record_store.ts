import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Disk } from "../../shared/linux/disk.ts";
import type { UnreadableRecord, VolumeRecord, VolumeStore } from "../volume/volume_record.ts";
import { recordDirectoryName } from "./record_directory_name.ts";
import { formatRecord } from "./record_format.ts";
import {
  certificateFile,
  holdsTemporaryFilesOnly,
  isReadable,
  isTemporaryFile,
  type LoadedRecords,
  type Named,
  readRecords,
  recordFile,
  temporaryName,
  volumesOf,
} from "./record_reader.ts";

/** Stores each volume's record and certificate chain in a directory of its own below `basePath`. */
export function openRecordStore(disk: Disk, basePath: string): VolumeStore {
  return new RecordStore(disk, basePath);
}

class RecordStore implements VolumeStore {
  readonly #disk: Disk;
  readonly #basePath: string;
  /** The id of the volume whose record is in a directory: different volumes can have the same directory name. */
  readonly #owners = new Map<string, string>();
  /** Directories in which a call has not ended: the disk may not answer it for any time. */
  readonly #busy = new Set<string>();

  constructor(disk: Disk, basePath: string) {
    this.#disk = disk;
    this.#basePath = basePath;
  }

  async save(record: VolumeRecord, certificatePem: string): Promise<void> {
    if (certificatePem.includes("PRIVATE KEY")) {
      throw new TypeError("a private key must not reach the disk; only certificates are kept");
    }
    const directory = this.#directory(record);
    const owner = this.#owners.get(directory) ?? record.volumeId;
    if (owner !== record.volumeId) {
      throw new Error(`${directory} holds the record of volume ${owner}, which is not replaced`);
    }
    const text = formatRecord(record);
    using _busy = this.#reserve(directory);
    await this.#makeDirectory(directory);
    await this.#replaceFile(directory, certificateFile, certificatePem);
    await this.#replaceFile(directory, recordFile, text);
    this.#owners.set(directory, owner);
  }

  /** Also removes the leftovers of saves and removals that were interrupted, so none may run meanwhile. */
  async load(): Promise<LoadedRecords> {
    for (const entry of await volumesOf(this.#disk, this.#basePath)) {
      // A file system of its own brings a lost+found, which is no volume.
      if (entry.isDirectory && entry.name !== "lost+found") {
        await this.#removeLeftovers(`${this.#basePath}/${entry.name}`);
      }
    }
    const loaded = await readRecords(this.#disk, this.#basePath);
    this.#owners.clear();
    for (const record of loaded.records) this.#owners.set(this.#directory(record), record.volumeId);
    return loaded;
  }

  async remove(record: Named): Promise<void> {
    const directory = this.#directory(record);
    if ((this.#owners.get(directory) ?? record.volumeId) !== record.volumeId) return;
    using _busy = this.#reserve(directory);
    if ((await this.#disk.entryAt(directory))?.isDirectory) {
      // The record is removed first: without it the rest is a leftover, which load() removes.
      for (const name of [recordFile, certificateFile]) {
        await this.#disk.removeTree(join(directory, name));
      }
      await this.#removeTemporaries(directory);
      await this.#disk.removeOne(directory);
    } else await this.#disk.removeTree(directory);
    this.#owners.delete(directory);
  }

  async removeUnreadable({ path }: UnreadableRecord): Promise<boolean> {
    try {
      using _busy = this.#reserve(path);
      const entry = await this.#disk.entryAt(path);
      if (entry === undefined) return true;
      if (!entry.isDirectory) return false;
      const names = (await this.#disk.entriesOf(path)).map(({ name }) => name);
      if (!names.every((name) => name === recordFile || isTemporaryFile(name))) return false;
      if (!await isReadable(this.#disk, join(path, recordFile))) await this.#disk.removeTree(path);
      return true;
    } catch {
      return false;
    }
  }

  #directory(record: Named): string {
    return join(this.#basePath, recordDirectoryName(record));
  }

  /** Until disposed no other call changes the directory; throws while one does. */
  #reserve(directory: string): Disposable {
    if (this.#busy.has(directory)) {
      throw new Error(
        `an earlier call that changes ${directory} has not been answered by its disk`,
      );
    }
    this.#busy.add(directory);
    return { [Symbol.dispose]: () => void this.#busy.delete(directory) };
  }

  async #removeLeftovers(directory: string): Promise<void> {
    try {
      if (await holdsTemporaryFilesOnly(this.#disk, directory)) {
        await this.#disk.removeTree(directory);
      } else await this.#removeTemporaries(directory);
    } catch {
      // What cannot be removed, for example from a read-only disk, does no harm.
    }
  }

  async #removeTemporaries(directory: string): Promise<void> {
    for (const { name } of await this.#disk.entriesOf(directory)) {
      if (temporaryName.test(name)) await this.#disk.removeTree(join(directory, name));
    }
  }

  /** And those above it, where missing. */
  async #makeDirectory(directory: string): Promise<void> {
    const entry = await this.#disk.entryAt(directory);
    if (entry?.isDirectory) return;
    // A link or a file in the place of one of our directories: removed itself, never what it leads to.
    if (entry !== undefined) await this.#disk.removeTree(directory);
    await this.#disk.makeDirectory(directory, { recursive: true, mode: 0o700 });
  }

  /**
   * Replaces a file: whenever this program ends, there is the old text or the new one, whole.
   *
   * Not so after a loss of power, for nothing waits for the disk. The mounts went with it: the kubelet has every volume
   * published again, which issues again and writes its record again, whatever is left of the old one.
   */
  async #replaceFile(directory: string, name: string, text: string): Promise<void> {
    const disk = this.#disk;
    const temporary = join(directory, `.${name}.${randomBytes(8).toString("hex")}`);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => disk.removeTree(temporary));
    await disk.writeNewText(temporary, text, 0o600);
    const path = join(directory, name);
    await disk.rename(temporary, path).catch(async (error) => {
      // This driver makes no directory in the file's place.
      if (!(await disk.entryAt(path))?.isDirectory) throw error;
      await disk.removeTree(path);
      await disk.rename(temporary, path);
    });
    undo.move();
  }
}
