import type { HealthStatus } from "../../shared/telemetry/health_endpoint.ts";
import type { ClientCas } from "../access/client_cas.ts";
import type { RunningService } from "./compose.ts";
import type { CurrentPolicy } from "../issuing/current_policy.ts";

/** Whether the service can issue certificates, and the lines that /readyz shows. */
export function readiness(
  { caController, denials, inventory, currentCa, serving }: RunningService,
  parts: {
    readonly policy: CurrentPolicy;
    readonly clients: ClientCas | undefined;
    /** Undefined where nodes do not attest. */
    readonly attestation: { readonly keys: { readonly problem: string | undefined } } | undefined;
    /** Risks of the configuration, a sentence each. */
    readonly warnings: readonly string[];
  },
): HealthStatus {
  const { policy, clients, attestation, warnings } = parts;
  const isLoaded = denials.isLoaded;
  const denialsProblem = denials.problem === undefined
    ? isLoaded ? [] : ["the revoked pods have not been read yet"]
    : [`the revoked pods cannot be read: ${denials.problem}`];
  // The state of the CA and the reason why there is none can be the same sentence.
  const lines = new Set([
    ...caController.statusLines(),
    ...denialsProblem,
    `${inventory.size} certificates in the inventory`,
    ...(policy.problem === undefined
      ? []
      : [`the new policy cannot be used, the previous one remains in use: ${policy.problem}`]),
    ...(clients?.problem === undefined
      ? []
      : [`the new client CAs cannot be used, the previous ones remain in use: ${clients.problem}`]),
    ...(attestation?.keys.problem === undefined ? [] : [attestation.keys.problem]),
    ...warnings,
  ]);
  const ok = currentCa.material !== undefined && serving.isSigned && isLoaded;
  return { ok, detail: [...lines].join("\n") };
}
