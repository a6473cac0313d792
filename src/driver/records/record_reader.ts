import { join } from "node:path";
import { entryAt, isNotFound } from "../../shared/linux/directory_entries.ts";
import type { UnreadableRecord, VolumeRecord, VolumeStore } from "../volume/volume_record.ts";
import { recordDirectoryName } from "./record_directory_name.ts";
import { type ParsedRecord, parseRecord } from "./record_format.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

export const recordFile = "volume.json";
export const certificateFile = "tls.crt";
export const temporaryName = /^\.(volume\.json|tls\.crt)\.[0-9a-f]{16}$/;

/** Far above any record of this driver; a larger file is none. */
const maxRecordBytes = 1024 * 1024;

/** What the name of a record's directory depends on. */
export type Named = Pick<VolumeRecord, "volumeId" | "pod">;
export type LoadedRecords = Awaited<ReturnType<VolumeStore["load"]>>;

/** All records below `basePath`, changing nothing: it may be called while a driver runs. */
export function readRecords(basePath: string): LoadedRecords {
  const records: VolumeRecord[] = [];
  const unreadable: UnreadableRecord[] = [];
  for (const entry of volumesOf(basePath)) {
    const path = join(basePath, entry.name);
    const found = entry.isDirectory
      ? readDirectory(path, entry.name)
      : problem("is not a directory; this driver keeps a directory for each volume");
    if (found?.kind === "record") records.push(found.record);
    if (found?.kind === "unreadable") unreadable.push({ path, problem: found.problem });
  }
  return { records, unreadable };
}

function problem(text: string): ParsedRecord {
  return { kind: "unreadable", problem: text };
}

export function isReadable(path: string): boolean {
  const { isFile, size } = Deno.lstatSync(path);
  return isFile && size <= maxRecordBytes &&
    parseRecord(Deno.readTextFileSync(path)).kind === "record";
}

function readRecordFile(directory: string): ParsedRecord | undefined {
  // A link in the directory's place leads to another program's files.
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
    return problem(`cannot be read (${errorMessage(error)})`);
  }
}

/** Undefined for what an incomplete save or removal left. */
function readDirectory(path: string, name: string): ParsedRecord | undefined {
  const found = readRecordFile(path);
  if (found === undefined) {
    return holdsTemporaryFilesOnly(path) ? undefined : problem(`has no ${recordFile}`);
  }
  if (found.kind === "unreadable") return problem(`${recordFile} ${found.problem}`);
  const expected = recordDirectoryName(found.record);
  if (expected === name) return found;
  return problem(`${recordFile} is of another volume, whose directory would be ${expected}`);
}

export function holdsTemporaryFilesOnly(directory: string): boolean {
  return entriesOf(directory).every(({ name }) => isTemporaryFile(name));
}

export function isTemporaryFile(name: string): boolean {
  return name === certificateFile || temporaryName.test(name);
}

/** Hidden names are the driver's own: the lock, the staging area. */
export function volumesOf(basePath: string): Deno.DirEntry[] {
  return entriesOf(basePath).filter((entry) => !entry.name.startsWith("."));
}

export function entriesOf(directory: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(directory)];
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
