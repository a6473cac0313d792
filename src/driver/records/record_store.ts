import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { recordDirectoryName } from "./record_directory_name.ts";
import type {
  AbandonedVolumes,
  UnreadableRecord,
  VolumeRecord,
  VolumeStore,
} from "../volume/volume_record.ts";
import { entryAt, isNotFound, removeEntry } from "../../shared/linux/directory_entries.ts";
import { formatRecord, type ParsedRecord, parseRecord } from "./record_format.ts";

const recordFile = "volume.json";
const certificateFile = "tls.crt";
const temporaryName = /^\.(volume\.json|tls\.crt)\.[0-9a-f]{16}$/;

/** Far above any record of ours; a larger file is somebody else's. */
const maxRecordBytes = 1024 * 1024;

type Named = Pick<VolumeRecord, "volumeId" | "pod">;
type LoadedRecords = Awaited<ReturnType<VolumeStore["load"]>>;

/** All records below `basePath`, changing nothing: for a look at the volumes of a driver that runs. */
export function readRecords(
  basePath: string,
  directoryName: (record: Named) => string = recordDirectoryName,
): LoadedRecords {
  const records: VolumeRecord[] = [];
  const unreadable: UnreadableRecord[] = [];
  for (const entry of volumesOf(basePath)) {
    const path = join(basePath, entry.name);
    const found = entry.isDirectory
      ? readDirectory(path, entry.name, directoryName)
      : problem("is not a directory; this driver keeps a directory for each volume");
    if (found?.kind === "record") records.push(found.record);
    if (found?.kind === "unreadable") unreadable.push({ path, problem: found.problem });
  }
  return { records, unreadable };
}

/** Keeps each volume's record and certificate chain in a directory of its own under `basePath`. */
export function openRecordStore(
  basePath: string,
  directoryName: (record: Named) => string = recordDirectoryName,
): VolumeStore & Pick<AbandonedVolumes, "removeUnreadable"> {
  return new RecordStore(basePath, directoryName);
}

class RecordStore implements VolumeStore {
  readonly #basePath: string;
  readonly #directoryName: (record: Named) => string;
  /** Directories that a save works in. */
  readonly #saving = new Set<string>();

  constructor(basePath: string, directoryName: (record: Named) => string) {
    this.#basePath = basePath;
    this.#directoryName = directoryName;
  }

  async save(record: VolumeRecord, certificatePem: string): Promise<void> {
    if (certificatePem.includes("PRIVATE KEY")) {
      throw new TypeError("a private key must not reach the disk; only certificates are kept");
    }
    const directory = this.#directory(record);
    const text = formatRecord(record);
    this.#saving.add(directory);
    try {
      await this.#save(directory, record, { text, certificatePem });
    } finally {
      this.#saving.delete(directory);
    }
  }

  async #save(
    directory: string,
    record: VolumeRecord,
    { text, certificatePem }: { text: string; certificatePem: string },
  ): Promise<void> {
    const owner = this.#otherOwner(directory, record);
    if (owner !== undefined) {
      throw new Error(`${directory} holds the record of volume ${owner}, which is not replaced`);
    }
    await makeDirectory(directory);
    await replaceFile(directory, certificateFile, certificatePem);
    await replaceFile(directory, recordFile, text);
  }

  /** Also tidies up after saves and removals that were cut short, so no other may run meanwhile. */
  load(): Promise<LoadedRecords> {
    return Promise.try(() => this.#load());
  }

  /** At once: nobody is served before it is done, and another thread takes longer to be told of a file. */
  #load(): LoadedRecords {
    for (const entry of volumesOf(this.#basePath)) {
      // A file system of its own brings a lost+found, which is no volume.
      if (entry.isDirectory && entry.name !== "lost+found") {
        removeLeftovers(`${this.#basePath}/${entry.name}`);
      }
    }
    return readRecords(this.#basePath, this.#directoryName);
  }

  async remove(record: Named): Promise<void> {
    const directory = this.#directory(record);
    const entry = entryAt(directory);
    if (entry === undefined || this.#otherOwner(directory, record) !== undefined) return;
    if (!entry.isDirectory) return removeEntry(directory);
    // The record goes first: without it the rest is a leftover, which load() clears away.
    for (const name of [recordFile, certificateFile]) removeEntry(join(directory, name));
    removeTemporaries(directory);
    await Deno.remove(directory);
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
    const name = this.#directoryName(record);
    if (!/^[^./\0][^/\0]*$/.test(name)) {
      throw new TypeError(`${JSON.stringify(name)} is no name for a record's directory`);
    }
    return join(this.#basePath, name);
  }

  /** Names of three parts joined by dashes can meet; no volume touches the record of another. */
  #otherOwner(directory: string, record: Named): string | undefined {
    const found = readRecordFile(directory);
    if (found?.kind !== "record" || found.record.volumeId === record.volumeId) return undefined;
    // One that lies in a directory that is not its own was put there by nobody of ours.
    return this.#directory(found.record) === directory ? found.record.volumeId : undefined;
  }
}

function problem(text: string): ParsedRecord {
  return { kind: "unreadable", problem: text };
}

function isReadable(path: string): boolean {
  const { isFile, size } = Deno.lstatSync(path);
  return isFile && size <= maxRecordBytes &&
    parseRecord(Deno.readTextFileSync(path)).kind === "record";
}

function readRecordFile(directory: string): ParsedRecord | undefined {
  // A link in the directory's place leads to what is not ours.
  if (!entryAt(directory)?.isDirectory) return undefined;
  const path = `${directory}/${recordFile}`;
  const entry = entryAt(path);
  if (entry === undefined) return undefined;
  if (entry.isSymlink) return problem("is a symbolic link, which is not followed");
  if (!entry.isFile) return problem("is not a file");
  if (entry.size > maxRecordBytes) return problem(`has ${entry.size} bytes, more than any record`);
  try {
    return parseRecord(Deno.readTextFileSync(path));
  } catch (error) {
    return problem(`cannot be read (${error instanceof Error ? error.message : error})`);
  }
}

/** Undefined: what is there is what is left of a save or a removal that is not complete. */
function readDirectory(
  path: string,
  name: string,
  directoryName: (record: Named) => string,
): ParsedRecord | undefined {
  const found = readRecordFile(path);
  if (found === undefined) {
    return holdsTemporaryFilesOnly(path) ? undefined : problem(`has no ${recordFile}`);
  }
  if (found.kind === "unreadable") return problem(`${recordFile} ${found.problem}`);
  const expected = directoryName(found.record);
  if (expected === name) return found;
  return problem(`${recordFile} is of another volume, whose directory would be ${expected}`);
}

function holdsTemporaryFilesOnly(directory: string): boolean {
  return entriesOf(directory).every(({ name }) => isTemporaryFile(name));
}

function isTemporaryFile(name: string): boolean {
  return name === certificateFile || temporaryName.test(name);
}

function removeLeftovers(directory: string): void {
  try {
    if (holdsTemporaryFilesOnly(directory)) removeEntry(directory);
    else removeTemporaries(directory);
  } catch {
    // What cannot be removed, from a read-only disk say, hinders nobody.
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
 * published again, which issues again and writes its record anew, whatever is left of the old one.
 */
async function replaceFile(directory: string, name: string, text: string): Promise<void> {
  const temporary = join(directory, `.${name}.${randomBytes(8).toString("hex")}`);
  using undo = new DisposableStack();
  undo.defer(() => removeEntry(temporary));
  await Deno.writeTextFile(temporary, text, { createNew: true, mode: 0o600 });
  const path = join(directory, name);
  await Deno.rename(temporary, path).catch(async (error) => {
    // A directory in the file's place is nobody's.
    if (!entryAt(path)?.isDirectory) throw error;
    removeEntry(path);
    await Deno.rename(temporary, path);
  });
  undo.move();
}

/** Hidden names are the driver's own: the lock, the staging area. */
function volumesOf(basePath: string): Deno.DirEntry[] {
  return entriesOf(basePath).filter((entry) => !entry.name.startsWith("."));
}

function entriesOf(directory: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(directory)];
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
