import { openLibc } from "../../src/shared/linux/libc.ts";

/** Set once the missing privilege was reported: test files share the environment, and nothing else. */
const reportedVariable = "TESTS_REPORTED_CANNOT_MOUNT";

/** Whether this process may mount, as root with all capabilities can; reported once on stderr when it may not. */
export const canMount = probe();

function probe(): boolean {
  const directory = Deno.makeTempDirSync();
  try {
    using libc = openLibc();
    libc.mount({ source: "probe", target: directory, fileSystem: "tmpfs", flags: 0 });
    libc.unmount(directory);
    return true;
  } catch (error) {
    if (!Deno.env.has(reportedVariable)) {
      console.error(`tests that mount are ignored: ${error}; run them as root in \`unshare -m\``);
    }
    Deno.env.set(reportedVariable, "yes");
    return false;
  } finally {
    Deno.removeSync(directory);
  }
}
