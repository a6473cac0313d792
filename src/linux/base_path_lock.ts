import { join } from "node:path";

/**
 * Takes CERT_BASE_PATH for this program until disposed or until its process ends (flock(2)).
 *
 * Throws when another driver has it: two would renew and remove each other's volumes.
 */
export async function lockBasePath(basePath: string): Promise<Disposable> {
  await Deno.mkdir(basePath, { recursive: true, mode: 0o700 });
  const path = join(basePath, ".lock");
  // The file stays when the lock goes: removing it would let a third program lock another file of that name.
  const file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
  if (await file.tryLock(true)) return file;
  file.close();
  throw new Error(
    `another driver uses CERT_BASE_PATH ${basePath} (it holds ${path}); stop it first, or give ` +
      `this one a directory of its own`,
  );
}
