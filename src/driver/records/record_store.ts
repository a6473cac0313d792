import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { entryAt, isNotFound, removeEntry } from "../../shared/linux/directory_entries.ts";
import type { UnreadableRecord, VolumeRecord, VolumeStore } from "../volume/volume_record.ts";
import { recordDirectoryName } from "./record_directory_name.ts";
import { formatRecord } from "./record_format.ts";
import {
  certificateFile,
  entriesOf,
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
export function openRecordStore(basePath: string): VolumeStore {
  return new RecordStore(basePath);
}

class RecordStore implements VolumeStore {
  readonly #basePath: string;
  /** The id of the volume whose record is in a directory: different volumes can have the same directory name. */
  readonly #owners = new Map<string, string>();
  /** Directories in which a save runs. */
  readonly #saving = new Set<string>();

  constructor(basePath: string) {
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
    this.#saving.add(directory);
    try {
      await makeDirectory(directory);
      await replaceFile(directory, certificateFile, certificatePem);
      await replaceFile(directory, recordFile, text);
      this.#owners.set(directory, owner);
    } finally {
      this.#saving.delete(directory);
    }
  }

  /** Also removes the leftovers of saves and removals that were interrupted, so none may run meanwhile. */
  load(): Promise<LoadedRecords> {
    return Promise.try(() => this.#load());
  }

  /** Synchronous: no call is served before it has ended, and to read a file on another thread takes longer. */
  #load(): LoadedRecords {
    for (const entry of volumesOf(this.#basePath)) {
      // A file system of its own brings a lost+found, which is no volume.
      if (entry.isDirectory && entry.name !== "lost+found") {
        removeLeftovers(`${this.#basePath}/${entry.name}`);
      }
    }
    const loaded = readRecords(this.#basePath);
    this.#owners.clear();
    for (const record of loaded.records) this.#owners.set(this.#directory(record), record.volumeId);
    return loaded;
  }

  async remove(record: Named): Promise<void> {
    const directory = this.#directory(record);
    if ((this.#owners.get(directory) ?? record.volumeId) !== record.volumeId) return;
    const entry = entryAt(directory);
    if (entry?.isDirectory) {
      // The record is removed first: without it the rest is a leftover, which load() removes.
      for (const name of [recordFile, certificateFile]) removeEntry(join(directory, name));
      removeTemporaries(directory);
      await Deno.remove(directory);
    } else if (entry !== undefined) removeEntry(directory);
    this.#owners.delete(directory);
  }

  /** Nothing is awaited, so that no save can begin meanwhile. */
  removeUnreadable({ path }: UnreadableRecord): boolean {
    if (this.#saving.has(path)) return false;
    try {
      if (!Deno.lstatSync(path).isDirectory) return false;
      const names = [...Deno.readDirSync(path)].map(({ name }) => name);
      if (!names.every((name) => name === recordFile || isTemporaryFile(name))) return false;
      if (isReadable(join(path, recordFile))) return true;
      Deno.removeSync(path, { recursive: true });
      return true;
    } catch (error) {
      return isNotFound(error);
    }
  }

  #directory(record: Named): string {
    return join(this.#basePath, recordDirectoryName(record));
  }
}

function removeLeftovers(directory: string): void {
  try {
    if (holdsTemporaryFilesOnly(directory)) removeEntry(directory);
    else removeTemporaries(directory);
  } catch {
    // What cannot be removed, for example from a read-only disk, does no harm.
  }
}

function removeTemporaries(directory: string): void {
  for (const { name } of entriesOf(directory)) {
    if (temporaryName.test(name)) removeEntry(join(directory, name));
  }
}

/** And those above it, where missing. */
async function makeDirectory(directory: string): Promise<void> {
  const entry = entryAt(directory);
  if (entry?.isDirectory) return;
  // A link or a file in the place of one of our directories: removed itself, never what it leads to.
  if (entry !== undefined) removeEntry(directory);
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
}

/**
 * Replaces a file: whenever this program ends, there is the old text or the new one, whole.
 *
 * Not so after a loss of power, for nothing waits for the disk. The mounts went with it: the kubelet has every volume
 * published again, which issues again and writes its record again, whatever is left of the old one.
 */
async function replaceFile(directory: string, name: string, text: string): Promise<void> {
  const temporary = join(directory, `.${name}.${randomBytes(8).toString("hex")}`);
  using undo = new DisposableStack();
  undo.defer(() => removeEntry(temporary));
  await Deno.writeTextFile(temporary, text, { createNew: true, mode: 0o600 });
  const path = join(directory, name);
  await Deno.rename(temporary, path).catch(async (error) => {
    // This driver makes no directory in the file's place.
    if (!entryAt(path)?.isDirectory) throw error;
    removeEntry(path);
    await Deno.rename(temporary, path);
  });
  undo.move();
}
