/** Aborted handshakes for a long time: whether memory keeps growing. */
import { type Attack, AttackFailure, type ServiceRow } from "../harness/row.ts";
import { residentMiB } from "../harness/process_state.ts";
import { pause } from "../harness/service_row.ts";
import { abortHandshakes } from "./slow.ts";

/** `ATTACKS_SOAK_MINUTES=60 deno task attacks --long soak` is the hour that a release waits for. */
const minutesVariable = "ATTACKS_SOAK_MINUTES";
const mostGrowthMiB = 64;

async function soak(attack: Attack): Promise<string> {
  const { pid } = attack.running.program;
  const totalMs = Number(Deno.env.get(minutesVariable) ?? 1) * 60_000;
  const round = async (ms: number) => {
    const end = performance.now() + ms;
    await abortHandshakes({ ...attack, ms, isSpent: () => performance.now() >= end });
    // What is collected only at rest is no growth.
    await pause(1_000);
    return await residentMiB(pid);
  };
  const first = await round(totalMs / 5);
  const sizes = [first];
  while (sizes.length < 5 && attack.isAlive()) sizes.push(await round(totalMs / 5));
  const text = `${sizes.map(Math.round).join(", ")} MiB at rest after each fifth`;
  if ((sizes.at(-1) ?? 0) - first > mostGrowthMiB) throw new AttackFailure(`grew: ${text}`);
  return text;
}

export const soakRows: readonly ServiceRow[] = [{
  name: "handshakes/soak of aborted ones",
  position: "unauthenticated",
  target: "mtls",
  isLong: true,
  longestMs: 2 * 60 * 60_000,
  run: soak,
}];
