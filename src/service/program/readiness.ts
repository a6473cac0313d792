import type { ClientCas } from "../access/client_cas.ts";
import type { RunningService } from "./compose.ts";
import type { CurrentPolicy } from "../issuing/current_policy.ts";

export interface Readiness {
  readonly ok: boolean;
  /** Lines for an operator. */
  readonly detail: string;
}

/** Whether certificates can be had, and all that an operator wants to know of it. */
export function readiness(
  { caController, denials, inventory, currentCa, serving }: RunningService,
  parts: {
    readonly policy: CurrentPolicy;
    readonly clients: ClientCas | undefined;
    /** What is needed to attest nodes; undefined where they do not attest. */
    readonly attestation: { readonly keys: { readonly problem: string | undefined } } | undefined;
    /** What the way it was started lets pass, a sentence each. */
    readonly warnings: readonly string[];
  },
): Readiness {
  const { policy, clients, attestation, warnings } = parts;
  const isLoaded = denials.isLoaded;
  const denialsProblem = denials.problem === undefined
    ? isLoaded ? [] : ["the revoked pods have not been read yet"]
    : [`the revoked pods cannot be read: ${denials.problem}`];
  const lines = [
    ...caController.statusLines(),
    ...denialsProblem,
    `${inventory.size} certificates in the inventory`,
    ...(policy.problem === undefined ? [] : [`the new policy is refused: ${policy.problem}`]),
    ...(clients?.problem === undefined
      ? []
      : [`the new CAs of client certificates are refused: ${clients.problem}`]),
    ...(attestation?.keys.problem === undefined ? [] : [attestation.keys.problem]),
    ...warnings,
  ];
  const ok = currentCa.material !== undefined && serving.isSigned && isLoaded;
  return { ok, detail: lines.join("\n") };
}
