import { openLibc } from "../../src/shared/linux/libc.ts";

/** Set once it was said that we may not mount: each test file is a world of its own, the environment is not. */
const saidVariable = "TESTS_SAID_CANNOT_MOUNT";

/** Whether this process may mount, as root with all capabilities can; said once on stderr when it may not. */
export const canMount = probe();

function probe(): boolean {
  const directory = Deno.makeTempDirSync();
  try {
    using libc = openLibc();
    libc.mount({ source: "probe", target: directory, fileSystem: "tmpfs", flags: 0 });
    libc.unmount(directory);
    return true;
  } catch (error) {
    if (!Deno.env.has(saidVariable)) {
      console.error(`tests that mount are ignored: ${error}; run them as root in \`unshare -m\``);
    }
    Deno.env.set(saidVariable, "yes");
    return false;
  } finally {
    Deno.removeSync(directory);
  }
}
