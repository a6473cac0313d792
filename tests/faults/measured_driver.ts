/** The driver, which reports its memory after a garbage collection at each SIGUSR2. */
import { main } from "../../src/csi_driver.ts";
import { heldMemory } from "./garbage.ts";

Deno.addSignalListener("SIGUSR2", () => {
  console.log(JSON.stringify({ message: "memory", ...heldMemory() }));
});
Deno.exit(await main([]));
