import { type Libc, openLibc } from "./libc.ts";
import { errorMessage } from "../text/error_message.ts";

const RLIMIT_CORE = 4;
const SIGUSR1 = 10;

/**
 * Keeps keys out of core dumps and out of reach of debuggers of the same user; returns what could
 * not be done.
 *
 * Both limits are needed: a core pattern that pipes to a program ignores the resource limit. What
 * this program reads of itself under /proc remains readable, also when it does not run as root.
 */
export function hardenProcess(): string[] {
  const problems: string[] = [];
  const attempt = (consequence: string, action: () => void) => {
    try {
      action();
    } catch (error) {
      const reason = errorMessage(error);
      problems.push(`${consequence}: ${reason}`);
    }
  };
  const dumps = "core dumps remain possible";
  attempt(`${dumps}, and SIGUSR1 may open a debugger's port`, () => {
    using libc = openLibc();
    attempt(dumps, () => libc.setResourceLimit(RLIMIT_CORE, 0));
    attempt(dumps, () => libc.setDumpable(false));
    attempt("SIGUSR1 may open a debugger's port", () => refuseDebugger(libc));
  });
  return problems;
}

/**
 * Since 2.9.2 `deno run` opens V8's debugger on 127.0.0.1:9229 at a SIGUSR1 and has no flag against
 * it (denoland/deno#35738, last seen in 2.9.6). It registers for the signal 500 ms after the start,
 * but the runtime installs the kernel's handler with the first registration of a process only. So
 * this program registers first, and then ignores the signal.
 */
function refuseDebugger(libc: Libc): void {
  const ignored = () => {};
  Deno.addSignalListener("SIGUSR1", ignored);
  Deno.removeSignalListener("SIGUSR1", ignored);
  libc.ignoreSignal(SIGUSR1);
}
