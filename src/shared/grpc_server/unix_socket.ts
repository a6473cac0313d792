import { connect } from "node:net";
import { dirname, join } from "node:path";
import { describeFileError } from "../text/file_error.ts";
import { maxSocketDirectoryBytes, maxSocketPathBytes } from "../text/limits.ts";

/** Throws where a socket's directory does not exist: to make it would hide that it is not the directory that others see. */
export function requireSocketDirectory(path: string, variable: string): void {
  const directory = dirname(path);
  try {
    if (Deno.statSync(directory).isDirectory) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      const problem = describeFileError(`the directory ${directory} of ${variable}`, error);
      throw new Error(`${problem}; correct ${variable}`, { cause: error });
    }
  }
  throw new Error(
    `the directory ${directory} of ${variable} does not exist: mount the kubelet's directory ` +
      `there, or correct ${variable}`,
  );
}

/** A path for a unix socket of this program. */
export interface ClaimedSocketPath {
  /** Where to listen: hidden, in the same folder, and never the path that others connect to. */
  readonly listenAt: string;
  /** Makes the listening socket appear at its path, complete and with mode 0600. */
  publish(): Promise<void>;
  /** Whether the path still is our socket, which another process may have removed or replaced. Ask only while it listens. */
  isPublished(): boolean;
  /** Removes the path if it still is our socket. Call it while the socket listens: its inode is then ours alone. */
  withdraw(): void;
}

/**
 * Claims a path for a unix socket in a folder that exists. The socket of a process that has ended is
 * replaced; a socket that another process serves, or a file that is no socket, is an error and remains.
 *
 * A listening socket's file is removed by path when it closes, even if another process has put its own
 * there since. So we listen at a hidden name, which the kubelet's plugin watcher overlooks, and rename.
 */
export async function claimSocketPath(path: string): Promise<ClaimedSocketPath> {
  requireLength(path, maxSocketPathBytes, "a unix socket's path");
  requireLength(dirname(path), maxSocketDirectoryBytes, "the directory of a served unix socket");
  await refuseOccupied(path);
  const listenAt = join(dirname(path), `.${crypto.randomUUID().slice(0, 8)}`);
  let ours: Deno.FileInfo | undefined;
  const isPublished = () => {
    const found = lstat(path);
    return found !== undefined && ours !== undefined && found.dev === ours.dev &&
      found.ino === ours.ino;
  };
  return {
    listenAt,
    publish: async () => {
      await Deno.chmod(listenAt, 0o600);
      ours = lstat(listenAt);
      await refuseOccupied(path);
      await Deno.rename(listenAt, path);
    },
    isPublished,
    withdraw: () => {
      if (isPublished()) Deno.removeSync(path);
    },
  };
}

function requireLength(path: string, most: number, what: string): void {
  if (new TextEncoder().encode(path).length <= most) return;
  throw new Error(`${path} is longer than the ${most} bytes that ${what} may have`);
}

async function refuseOccupied(path: string): Promise<void> {
  const found = lstat(path);
  if (found === undefined) return;
  if (found.isSocket !== true) {
    throw new Error(`${path} exists and is not a socket: remove it or choose another path`);
  }
  if (await isServed(path)) throw new Error(`another process is serving ${path}`);
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Only a refused connection proves that no process listens; a full backlog, for example, does not. */
function isServed(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ path });
  socket.once("connect", () => resolve(true));
  socket.once("error", (error: NodeJS.ErrnoException) => {
    resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT");
  });
  return promise.finally(() => socket.destroy());
}
