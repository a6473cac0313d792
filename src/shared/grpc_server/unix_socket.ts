import { connect } from "node:net";
import { dirname, join } from "node:path";
import { maxSocketPathBytes } from "../text/limits.ts";

/** A path for a unix socket of this program. */
export interface ClaimedSocketPath {
  /** Where to listen: hidden, in the same folder, and never the path that others connect to. */
  readonly listenAt: string;
  /** Makes the listening socket appear at its path, complete and with mode 0600. */
  publish(): Promise<void>;
  /** Removes the path if it still is our socket. Call it while the socket listens: its inode is then ours alone. */
  withdraw(): void;
}

/**
 * Claims a path for a unix socket, and creates its folder. The socket of a process that has ended is
 * replaced; a socket that another process serves, or a file that is no socket, is an error and remains.
 *
 * A listening socket's file is removed by path when it closes, even if another process has put its own
 * there since. So we listen at a hidden name, which the kubelet's plugin watcher overlooks, and rename.
 */
export async function claimSocketPath(path: string): Promise<ClaimedSocketPath> {
  if (new TextEncoder().encode(path).length > maxSocketPathBytes) {
    throw new Error(
      `${path} is longer than the ${maxSocketPathBytes} bytes that a unix socket's path may have`,
    );
  }
  await Deno.mkdir(dirname(path), { recursive: true });
  await refuseOccupied(path);
  const listenAt = join(dirname(path), `.${crypto.randomUUID().slice(0, 8)}`);
  let ours: Deno.FileInfo | undefined;
  return {
    listenAt,
    publish: async () => {
      await Deno.chmod(listenAt, 0o600);
      ours = lstat(listenAt);
      await refuseOccupied(path);
      await Deno.rename(listenAt, path);
    },
    withdraw: () => {
      const found = lstat(path);
      const same = found !== undefined && ours !== undefined && found.dev === ours.dev &&
        found.ino === ours.ino;
      if (same) Deno.removeSync(path);
    },
  };
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
