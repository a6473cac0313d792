/** The driver, which tells its memory after a collection of garbage at each SIGUSR2. */
import { main } from "../../src/csi_driver.ts";
import { heldMemory } from "./garbage.ts";

Deno.addSignalListener("SIGUSR2", () => {
  console.log(JSON.stringify({ message: "memory", ...heldMemory() }));
});
Deno.exit(await main([]));
