import { join } from "node:path";
import { errorMessage } from "../../shared/text/error_message.ts";

/** CERT_BASE_PATH, locked until disposed. */
export interface BasePathLock extends Disposable {
  /** A directory of the driver's own below it. */
  readonly stagingDir: string;
}

export interface LockWaitOptions {
  /** Resolves after so many milliseconds, or when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Receives the reason at once, and then every ten seconds. */
  readonly onWaiting: (problem: string) => void;
}

const retryMs = 500;
const logEveryAttempts = 20;

/**
 * Locks CERT_BASE_PATH for this program until disposed or until its process ends (flock(2)).
 *
 * Waits while another driver has it (two would renew and remove each other's volumes), and while it cannot be used:
 * a restart would not help. Returns undefined when the signal is aborted first.
 */
export async function acquireBasePathLock(
  basePath: string,
  { wait, onWaiting }: LockWaitOptions,
  signal: AbortSignal,
): Promise<BasePathLock | undefined> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    const outcome = await tryLock(basePath);
    if (typeof outcome !== "string") return outcome;
    if (attempt % logEveryAttempts === 0) onWaiting(outcome);
    await wait(retryMs, signal);
  }
  return undefined;
}

/** The lock, or why there is none. */
async function tryLock(basePath: string): Promise<BasePathLock | string> {
  const path = join(basePath, ".lock");
  const stagingDir = join(basePath, ".staging");
  try {
    await Deno.mkdir(stagingDir, { recursive: true, mode: 0o700 });
    const file = await openLock(path);
    if (await file.tryLock(true)) return { stagingDir, [Symbol.dispose]: () => file.close() };
    file.close();
  } catch (error) {
    return `CERT_BASE_PATH ${basePath} cannot be used (${errorMessage(error)}); ` +
      "the driver continues when it can";
  }
  return `another driver uses CERT_BASE_PATH ${basePath} (it has the lock ${path}); stop it, or give this ` +
    `one a directory of its own`;
}

/** The file remains when the lock is released: if it were removed, a third program could lock another file of that name. */
async function openLock(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { write: true, create: true, mode: 0o600 });
  } catch (error) {
    // On a file system that became read-only, a file that exists can still be locked.
    try {
      return await Deno.open(path, { read: true });
    } catch {
      throw error;
    }
  }
}
