/** Hardens its process and prints what is then seen of it under /proc. */
import { hardenProcess } from "../../../src/shared/linux/process_hardening.ts";
import { openLibc } from "../../../src/shared/linux/libc.ts";
import { parseMountinfo } from "../../../src/driver/mount/mountinfo.ts";

const problems = hardenProcess();
using libc = openLibc();
const limits = libc.readText("/proc/self/limits");
console.log(JSON.stringify({
  problems,
  coreLimit: limits.split("\n").find((line) => line.startsWith("Max core")),
  ownMounts: parseMountinfo(libc.readText("/proc/self/mountinfo")).length > 0,
  memory: Deno.memoryUsage().rss > 0,
  ownerInProc: Deno.statSync("/proc/self/environ").uid,
}));
