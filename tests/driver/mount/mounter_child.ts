/** A driver's work with a volume, for a child process with the driver's own permissions; prints what came of it. */
import { join } from "node:path";
import { acquireBasePathLock } from "../../../src/driver/records/base_path_lock.ts";
import { selectMounter } from "../../../src/driver/mount/mounter_selection.ts";
import { Disk } from "../../../src/shared/linux/disk.ts";
import { hardenProcess } from "../../../src/shared/linux/process_hardening.ts";
import { openRecordStore } from "../../../src/driver/records/record_store.ts";
import { volume } from "../records/sample_record.ts";

const [root = ""] = Deno.args;
const problems = hardenProcess();
const basePath = join(root, "base");
const waiting = {
  wait: () => Promise.resolve(),
  onWaiting: (problem: string) => {
    throw new Error(problem);
  },
};
using lock = await acquireBasePathLock(basePath, waiting, new AbortController().signal);
const warnings: string[] = [];
using mounter = await selectMounter({
  disk: new Disk(),
  stagingDir: lock?.stagingDir ?? "",
  allowKeysOnDisk: true,
  onWarning: (message) => warnings.push(message),
});
const never = new AbortController().signal;
const target = join(root, "pods", "mount");
await Deno.mkdir(join(root, "pods"), { recursive: true });
const files = (number: number) => ({
  contents: new Map([["tls.crt", `pair ${number}`], ["tls.key", `pair ${number}`]]),
  mode: 0o640,
  group: mounter.kind === "tmpfs" ? 0 : undefined,
});

const states = [await mounter.state(target)];
await mounter.publish(target, files(1), never);
states.push(await mounter.state(target));
await mounter.replace(target, files(2));
states.push(await mounter.state(target));
const read = (await mounter.read(target, ["tls.key"]))[0];
await mounter.unpublish(target);
states.push(await mounter.state(target));

const store = openRecordStore(new Disk(), basePath);
const record = volume();
await store.save(record, "certificate");
const loaded = (await store.load()).records.length;
await store.remove(record);

console.log(JSON.stringify({
  kind: mounter.kind,
  warnings,
  states,
  read,
  problems,
  loaded,
}));
