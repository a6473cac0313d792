import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { recordDirectoryName } from "../volume/naming.ts";
import type { UnreadableRecord, VolumeRecord, VolumeStore } from "../volume/ports.ts";
import { entryAt, isMissing, removeAny } from "./entries.ts";
import { formatRecord, type ParsedRecord, parseRecord } from "./record_text.ts";

const recordFile = "volume.json";
const certificateFile = "tls.crt";
const temporaryName = /^\.(volume\.json|tls\.crt)\.[0-9a-f]{16}$/;

/** Far above any record of ours; a larger file is somebody else's. */
const maxRecordBytes = 1024 * 1024;

type Named = Pick<VolumeRecord, "volumeId" | "pod">;

/** Keeps each volume's record and certificate chain in a directory of its own under `basePath`. */
export function recordStore(
  basePath: string,
  directoryName: (record: Named) => string = recordDirectoryName,
): VolumeStore {
  return new RecordStore(basePath, directoryName);
}

class RecordStore implements VolumeStore {
  readonly #basePath: string;
  readonly #directoryName: (record: Named) => string;

  constructor(basePath: string, directoryName: (record: Named) => string) {
    this.#basePath = basePath;
    this.#directoryName = directoryName;
  }

  async save(record: VolumeRecord, certificatePem: string): Promise<void> {
    if (certificatePem.includes("PRIVATE KEY")) {
      throw new TypeError("a private key must not reach the disk; only certificates are kept");
    }
    const text = formatRecord(record);
    const directory = this.#directory(record);
    const owner = await this.#otherOwner(directory, record);
    if (owner !== undefined) {
      throw new Error(`${directory} holds the record of volume ${owner}, which is not replaced`);
    }
    await Deno.mkdir(this.#basePath, { recursive: true, mode: 0o700 });
    await makeDirectory(directory, this.#basePath);
    await writeDurably(directory, certificateFile, certificatePem);
    await writeDurably(directory, recordFile, text);
  }

  async load(): Promise<{ records: VolumeRecord[]; unreadable: UnreadableRecord[] }> {
    const records: VolumeRecord[] = [];
    const unreadable: UnreadableRecord[] = [];
    for (const entry of await entriesOf(this.#basePath)) {
      // Hidden names are the driver's own: the lock, the staging area.
      if (entry.name.startsWith(".")) continue;
      const path = join(this.#basePath, entry.name);
      const loaded = entry.isDirectory
        ? await this.#loadDirectory(path, entry.name)
        : problem("is not a directory; this driver keeps a directory for each volume");
      if (loaded?.kind === "record") records.push(loaded.record);
      if (loaded?.kind === "unreadable") unreadable.push({ path, problem: loaded.problem });
    }
    return { records, unreadable };
  }

  async remove(record: Named): Promise<void> {
    const directory = this.#directory(record);
    const entry = await entryAt(directory);
    if (entry === undefined || await this.#otherOwner(directory, record) !== undefined) return;
    requireDirectory(directory, entry);
    // The record goes first: without it the rest is a leftover, which load() clears away.
    for (const name of [recordFile, certificateFile]) await removeAny(join(directory, name));
    await removeTemporaries(directory);
    await Deno.remove(directory);
    await syncDirectory(this.#basePath);
  }

  /** Undefined: a save or a removal was cut short there, which is now tidied up. */
  async #loadDirectory(path: string, name: string): Promise<ParsedRecord | undefined> {
    await removeTemporaries(path);
    const found = await readRecordFile(path);
    if (found === undefined) return await removeLeftover(path);
    if (found.kind === "unreadable") return problem(`${recordFile} ${found.problem}`);
    const expected = this.#directoryName(found.record);
    if (expected === name) return found;
    return problem(`${recordFile} is of another volume, whose directory would be ${expected}`);
  }

  #directory(record: Named): string {
    const name = this.#directoryName(record);
    if (!/^[^./\0][^/\0]*$/.test(name)) {
      throw new TypeError(`${JSON.stringify(name)} is no name for a record's directory`);
    }
    return join(this.#basePath, name);
  }

  /** Names of three parts joined by dashes can meet; no volume touches the record of another. */
  async #otherOwner(directory: string, record: Named): Promise<string | undefined> {
    const found = await readRecordFile(directory);
    if (found?.kind !== "record" || found.record.volumeId === record.volumeId) return undefined;
    return found.record.volumeId;
  }
}

function problem(text: string): ParsedRecord {
  return { kind: "unreadable", problem: text };
}

async function readRecordFile(directory: string): Promise<ParsedRecord | undefined> {
  const path = join(directory, recordFile);
  const entry = await entryAt(path);
  if (entry === undefined) return undefined;
  if (entry.isSymlink) return problem("is a symbolic link, which is not followed");
  if (!entry.isFile) return problem("is not a file");
  if (entry.size > maxRecordBytes) return problem(`has ${entry.size} bytes, more than any record`);
  return parseRecord(await Deno.readTextFile(path));
}

/** Removes a directory that holds no record, unless there is something in it that we did not put there. */
async function removeLeftover(directory: string): Promise<ParsedRecord | undefined> {
  const names = (await entriesOf(directory)).map((entry) => entry.name);
  if (names.some((name) => name !== certificateFile)) return problem(`has no ${recordFile}`);
  await removeAny(join(directory, certificateFile));
  await Deno.remove(directory);
  return undefined;
}

async function removeTemporaries(directory: string): Promise<void> {
  for (const { name } of await entriesOf(directory)) {
    if (temporaryName.test(name)) await removeAny(join(directory, name));
  }
}

async function makeDirectory(directory: string, parent: string): Promise<void> {
  const entry = await entryAt(directory);
  if (entry !== undefined) return requireDirectory(directory, entry);
  await Deno.mkdir(directory, { mode: 0o700 });
  await syncDirectory(parent);
}

function requireDirectory(path: string, entry: Deno.FileInfo): void {
  if (!entry.isDirectory) throw new Error(`${path} is not a directory; remove it`);
}

/** Replaces a file; after a loss of power there is the old text or the new one, whole. */
async function writeDurably(directory: string, name: string, text: string): Promise<void> {
  const temporary = join(directory, `.${name}.${randomBytes(8).toString("hex")}`);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => removeAny(temporary));
  await Deno.writeTextFile(temporary, text, { createNew: true, mode: 0o600 });
  await syncFile(temporary);
  const path = join(directory, name);
  if ((await entryAt(path))?.isDirectory) await removeAny(path);
  await Deno.rename(temporary, path);
  undo.move();
  await syncDirectory(directory);
}

async function syncFile(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true });
  await file.sync();
}

const syncDirectory = syncFile;

async function entriesOf(directory: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(directory));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
