import { SystemCallError } from "../../src/shared/linux/errno.ts";
import { mountFlags, openLibc } from "../../src/shared/linux/libc.ts";

const MS_SHARED = 1 << 20;

/**
 * Makes what is mounted below a directory shared, as a kubelet's directory is on a node, until disposed: a driver that
 * may mount requires it. Does nothing where this process may not mount, because the driver may not either.
 */
export function shareMounts(directory: string): Disposable {
  using libc = openLibc();
  const target = Deno.realPathSync(directory);
  try {
    libc.mount({ source: target, target, flags: mountFlags.bind });
  } catch (error) {
    if (!(error instanceof SystemCallError && error.code === "EPERM")) throw error;
    return { [Symbol.dispose]: () => {} };
  }
  using undo = new DisposableStack();
  undo.defer(() => {
    using libc = openLibc();
    libc.unmount(target, { detach: true });
  });
  libc.mount({ target, flags: MS_SHARED });
  return undo.move();
}
