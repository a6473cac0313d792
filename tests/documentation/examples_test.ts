import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { readDriverConfig } from "../../src/driver/program/config.ts";
import { formatStatusTable } from "../../src/driver/program/status.ts";
import { writeAuditEntry } from "../../src/service/access/audit_log.ts";
import { certificateTable } from "../../src/service/admin/certificate_text.ts";
import { checkPolicy, parsePodArguments } from "../../src/service/admin/check_policy.ts";
import { CertificateInfoSchema } from "../../src/shared/gen/certificate_service_pb.ts";
import { formatJsonLine } from "../../src/shared/telemetry/log_line.ts";
import { captureLogs } from "../support/captured_logs.ts";
import { blocks, page } from "../support/documentation.ts";
import { policy } from "../support/service_fixture.ts";

/** A page's block of code that starts with a text. */
function block(path: string, language: string, start: string): string {
  const found = blocks(page(path), language).find((text) => text.startsWith(start));
  assert.ok(found, `${path} has no block of ${language} that starts with ${start}`);
  return found;
}

Deno.test("the commands page shows what check-policy prints for the policy page's rules", () => {
  const rules = block("docs/reference/policy.md", "yaml", "rules:");
  const [command = "", ...printed] = block(
    "docs/reference/commands.md",
    "console",
    "$ cert-service",
  )
    .trimEnd().split("\n");
  const [, pod, attribute = ""] = /--pod (\S+) --attribute (\S+)$/.exec(command) ?? [];
  const read = parsePodArguments({ pod, serviceAccount: undefined, attributes: [attribute] });
  assert(read.kind === "pod");
  const checked = checkPolicy(rules, policy(), read.pod);
  assert(checked.kind === "granted");
  assert.equal(printed.join("\n"), checked.text);
});

const commandsPage = "docs/reference/commands.md";

Deno.test("the commands page shows what csi-driver status prints", () => {
  const printed = formatStatusTable([{
    pod: "shop/web-0",
    serialNumber: "2f6c0d1e9b7a48530c9e1f2a3b4c5d6e",
    expiresAt: Temporal.Instant.from("2026-03-08T12:00:00Z"),
    renewsAt: Temporal.Instant.from("2026-03-07T03:12:41Z"),
    state: "ok",
  }]);
  assert.equal(block(commandsPage, "text", "POD         SERIAL"), `${printed}\n`);
});

Deno.test("the commands page shows what cert-service list prints", () => {
  const certificate = create(CertificateInfoSchema, {
    pod: { namespace: "shop", name: "web-0" },
    node: "worker-1",
    serialNumber: "5d7fe8fa4cb01ca3aaa5e37e0ac69ccb",
    notAfter: timestampFromDate(new Date("2026-03-08T12:00:00Z")),
  });
  const printed = certificateTable().format([certificate]);
  assert.equal(block(commandsPage, "text", "POD         NODE"), printed);
});

Deno.test("the errors page shows what a bad variable results in", () => {
  const outcome = readDriverConfig({ CERT_SERVICE_ADDR: "cert-service" }, "worker-1");
  assert(outcome.kind === "refused");
  const [line] = block("docs/reference/errors.md", "text", "csi-driver: ").split("\n");
  assert.equal(line, `csi-driver: ${outcome.problems.join()}`);
});

Deno.test("the logs page shows a line of the audit log", async () => {
  const shown = JSON.parse(block("docs/reference/logs.md", "json", "{"));
  await using logs = await captureLogs(["cert-service", "audit"]);
  const { commonName, organizationalUnits, dnsNames, ipAddresses, uris } = shown;
  writeAuditEntry({
    action: "issue",
    outcome: "issued",
    caller: {
      kind: "node",
      node: shown.node,
      podUid: shown.callerPodUid,
      serviceAccount: undefined,
      tokenId: undefined,
    },
    pod: {
      namespace: shown.namespace,
      name: shown.podName,
      uid: shown.podUid,
      serviceAccount: shown.serviceAccount,
    },
    volumeId: shown.volumeId,
    serialNumber: shown.serialNumber,
    names: { commonName, organizationalUnits, dnsNames, ipAddresses, uris },
    notAfter: Temporal.Instant.from(shown.notAfter),
  });
  const [record] = logs.records;
  assert.ok(record);
  const written = JSON.parse(formatJsonLine(record, "cert-service"));
  const message = written.message.replace(shown.podUid, `${shown.podUid.slice(0, 4)}…`)
    .replace(shown.serialNumber, `${shown.serialNumber.slice(0, 4)}…`);
  assert.deepEqual({ ...written, time: shown.time, message }, shown);
  assert.deepEqual(Object.keys(written), Object.keys(shown));
});
