/** SIGUSR1 must not open V8's debugger, which lets its caller run code in the program. */
import type { Program } from "../../support/programs.ts";
import { AttackFailure, type DriverRow, type ServiceRow } from "../harness/row.ts";
import { pause } from "../harness/service_row.ts";

async function signalled(program: Program): Promise<string> {
  program.signal("SIGUSR1");
  await pause(500);
  if (/Debugger listening|ws:\/\/127/.test(program.output)) {
    throw new AttackFailure("SIGUSR1 opened V8's debugger");
  }
  const answer = await fetch("http://127.0.0.1:9229/json", { signal: AbortSignal.timeout(1_000) })
    .then((response) => response.text(), () => "");
  if (answer.includes("webSocketDebuggerUrl")) {
    throw new AttackFailure("V8's debugger answers on port 9229");
  }
  return "no debugger";
}

export const serviceSignalRows: readonly ServiceRow[] = [{
  name: "signals/SIGUSR1",
  position: "unauthenticated",
  target: "mtls",
  run: ({ running }) => signalled(running.program),
}];

export const driverSignalRows: readonly DriverRow[] = [{
  name: "signals/SIGUSR1",
  position: "unauthenticated",
  target: "driver",
  endsDriver: true,
  expects: { p99Factor: undefined },
  run: ({ driver }) => signalled(driver.program),
}];
