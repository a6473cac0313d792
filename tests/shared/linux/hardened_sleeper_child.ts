/** Prints its pid and lives until it is killed; hardened first with the argument "harden". */
import { hardenProcess } from "../../../src/shared/linux/process_hardening.ts";

if (Deno.args[0] === "harden") { for (const problem of hardenProcess()) console.log(problem); }
// The runtime registers for SIGUSR1 500 ms after the start.
await new Promise((resolve) => setTimeout(resolve, 800));
console.log("ready");
setInterval(() => console.log("alive"), 50);
