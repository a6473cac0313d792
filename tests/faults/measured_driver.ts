/** The driver, which tells its memory after a collection of garbage at each SIGUSR1. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { main } from "../../src/csi_driver.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
Deno.addSignalListener("SIGUSR1", () => {
  collect();
  const { heapUsed, rss } = Deno.memoryUsage();
  console.log(JSON.stringify({ message: "memory", heapUsed, rss }));
});
Deno.exit(await main([]));
