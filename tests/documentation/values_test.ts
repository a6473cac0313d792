import assert from "node:assert/strict";
import type { VolumeStatus } from "../../src/driver/program/status.ts";
import type { AttestationOutcome } from "../../src/service/attestation/attestation_outcome.ts";
import { shippedPermissions } from "../../src/service/kubernetes/permissions.ts";
import type { ConnectionRefusal } from "../../src/shared/grpc_server/connection_limits.ts";
import { page, rows } from "../support/documentation.ts";

/** The values in a table's first column, of which a row can have several. */
function firstColumn(path: string, heading: string): string[] {
  return rows(page(path), heading).flatMap(([cell = ""]) => cell.split(", ")).sort();
}

Deno.test("the metrics page lists every reason of a refused connection", () => {
  const reasons: Record<ConnectionRefusal, true> = {
    certificate: true,
    connections: true,
    expired: true,
    flood: true,
    handshakes: true,
    peer: true,
    protocol: true,
    rate: true,
    rejected: true,
    tls: true,
  };
  assert.deepEqual(firstColumn("docs/reference/metrics.md", "reason"), Object.keys(reasons));
});

Deno.test("the metrics page lists every outcome of an attestation", () => {
  const outcomes: Record<AttestationOutcome["kind"], true> = {
    issued: true,
    malformed: true,
    overloaded: true,
    unauthenticated: true,
    denied: true,
    unavailable: true,
  };
  const [, text = ""] = page("docs/reference/metrics.md").split("## Outcomes of attestations");
  for (const outcome of Object.keys(outcomes)) assert.ok(text.includes(`\`${outcome}\``), outcome);
});

Deno.test("the commands page lists every state of csi-driver status", () => {
  const states: Record<VolumeStatus["state"], true> = {
    expired: true,
    "not mounted": true,
    ok: true,
    "renewal overdue": true,
  };
  assert.deepEqual(firstColumn("docs/reference/commands.md", "State"), Object.keys(states));
});

Deno.test("the permissions page lists the rights of the service in the cluster, and no others", () => {
  const listed = rows(page("docs/reference/permissions.md"), "Verbs").flatMap(
    ([verbs = "", object = ""]) => {
      const names = [...object.matchAll(/csi-c[\w-]+(?= |$)|\/openid\/v1\/jwks/g)]
        .map(([name]) => name).filter((name) => name !== "csi-cert-system");
      const targets = names.length > 0 ? names : [object.split(" ")[0]];
      return verbs.split(", ").flatMap((verb) => targets.map((target) => `${verb} ${target}`));
    },
  );
  const shipped = shippedPermissions.map(({ verb, name, resource, nonResourcePath }) =>
    `${verb} ${name ?? nonResourcePath ?? resource}`
  );
  assert.deepEqual(listed.sort(), shipped.sort());
});
