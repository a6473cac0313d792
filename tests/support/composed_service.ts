import assert from "node:assert/strict";
import { NodeCas } from "../../src/service/ca/node_cas.ts";
import { HealthService } from "../../src/service/api/health_service.ts";
import { readServiceConfig } from "../../src/service/program/config.ts";
import { openParts } from "../../src/service/program/open_parts.ts";
import { serveClients } from "../../src/service/program/serve_clients.ts";
import { Metrics } from "../../src/shared/telemetry/metrics.ts";
import type { FakeClock } from "../../scripts/support/fake_clock.ts";
import { settled } from "./settled.ts";

/** What the program composes of these variables, in this process and on a clock that stands still. */
export async function composeService(variables: Record<string, string>, clock: FakeClock) {
  const environment = {
    LISTEN_ADDR: "127.0.0.1:0",
    ATTESTATION_LISTEN_ADDR: "127.0.0.1:0",
    HEALTH_ADDR: "off",
    ...variables,
  };
  const read = readServiceConfig(environment);
  assert(read.kind === "config", JSON.stringify(read));
  await using resources = new AsyncDisposableStack();
  const metrics = new Metrics();
  const opening = openParts(read.config, { clock, environment }, resources);
  const parts = await settled(clock, opening);
  const tools = { metrics, health: new HealthService() };
  const { server, attestation } = await serveClients(read.config, parts, tools, resources);
  const kept = resources.move();
  return {
    ...parts.open,
    nodeCas: parts.attestation?.nodeCas ?? new NodeCas(clock),
    clock,
    metrics,
    address: `https://127.0.0.1:${server.port}`,
    attestationPort: attestation?.port ?? 0,
    /** How many connections were refused so far for this reason. */
    refusedConnections: (reason: string) => {
      const [, count = "0"] =
        RegExp(`^csi_cert_refused_connections_total\\{reason="${reason}"\\} (\\d+)$`, "m")
          .exec(metrics.expose()) ?? [];
      return Number(count);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
