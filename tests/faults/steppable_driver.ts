/**
 * The driver with steps at which it can be killed: VICTIM is a pod's uid, DIE_BEFORE names the step. WAIT=true: the
 * volume's first step waits for a SIGUSR2. PLAIN=true: nothing can be mounted. The shipped program has none of these.
 */
import { main } from "../../src/csi_driver.ts";
import { Steps } from "./steps.ts";
import { rejectMounts } from "./system_calls.ts";

if (Deno.env.get("PLAIN") === "true") rejectMounts();

const released = Promise.withResolvers<void>();
if (Deno.env.get("WAIT") === "true") Deno.addSignalListener("SIGUSR2", () => released.resolve());
else released.resolve();

const steps = new Steps({
  victim: Deno.env.get("VICTIM") ?? "",
  dieBefore: Deno.env.get("DIE_BEFORE"),
  released: released.promise,
  onStep: (step) => console.log(JSON.stringify({ message: "step", step })),
});
Deno.exit(await main([], (ports) => steps.wrap(ports)));
