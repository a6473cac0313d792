/**
 * The driver with steps that it can be killed at: VICTIM is a pod's uid, DIE_BEFORE names the step. HOLD=true: the
 * volume's first step waits for a SIGUSR2. The shipped program has none of these.
 */
import { main } from "../../src/csi_driver.ts";
import { Steps } from "./steps.ts";

const held = Promise.withResolvers<void>();
if (Deno.env.get("HOLD") === "true") Deno.addSignalListener("SIGUSR2", () => held.resolve());
else held.resolve();

const steps = new Steps({
  victim: Deno.env.get("VICTIM") ?? "",
  dieBefore: Deno.env.get("DIE_BEFORE"),
  go: held.promise,
  onStep: (step) => console.log(JSON.stringify({ message: "step", step })),
});
Deno.exit(await main([], (edges) => steps.around(edges)));
