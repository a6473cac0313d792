import assert from "node:assert/strict";
import { getLogger } from "@logtape/logtape";
import denoJson from "../../deno.json" with { type: "json" };
import { engineFlags, permissions } from "../../scripts/permissions.ts";
import type { AuditEntry } from "../../src/service/access/audit_log.ts";
import { policy } from "../support/service_fixture.ts";
import { parsePolicyFile } from "../../src/service/policy/policy_file.ts";
import { driverVariables } from "../../src/driver/program/config.ts";
import type { VariableTable } from "../../src/shared/config/environment.ts";
import { commands } from "../../src/service/program/run_command.ts";
import { serviceVariables } from "../../src/service/program/variables.ts";
import { createCallMetrics } from "../../src/shared/telemetry/call_metrics.ts";
import { observeEventLoopLag } from "../../src/shared/telemetry/event_loop_lag.ts";
import { Metrics } from "../../src/shared/telemetry/metrics.ts";
import { surviveUnhandledErrors } from "../../src/shared/telemetry/unhandled_errors.ts";
import { clientCounters, serviceMetrics } from "../../src/service/program/metrics.ts";
import { ClockSkewReport } from "../../src/driver/program/clock_skew_report.ts";
import { volumeMetrics } from "../../src/driver/program/metrics.ts";
import { knownAttributes } from "../../src/shared/attributes/attribute_parser.ts";
import { templateFields } from "../../src/shared/attributes/templates.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { page, pages, rows, sourceTexts } from "../support/documentation.ts";
import { documentedBlock } from "../e2e/support/documentation.ts";
import { folders } from "../support/import_table.ts";

for (
  const [path, table] of [
    ["docs/reference/csi-driver-environment.md", driverVariables],
    ["docs/reference/cert-service-environment.md", serviceVariables],
  ] as [string, VariableTable][]
) {
  Deno.test(`${path} describes each variable as --help does`, () => {
    const described = Object.values(table).map((variable) => [
      variable.name,
      variable.defaultText ?? variable.default ?? "",
      variable.description,
    ]);
    assert.deepEqual(rows(page(path), "Variable"), described);
  });
}

Deno.test("the reference lists the volume attributes that are accepted, and the templates' fields", () => {
  const text = page("docs/reference/attributes.md");
  const listed = rows(text, "Attribute").map(([name]) => name);
  assert.deepEqual(listed.sort(), [...knownAttributes].sort());
  for (const field of templateFields) assert.ok(text.includes(`\`{${field}}\``), field);
});

Deno.test("the architecture page's import table is the one that is enforced", () => {
  const enforced = Object.entries(folders).map(([folder, { purpose, mayImport }]) => {
    const wings = Object.entries(mayImport).map(([wing, names]) => `${wing}: ${names.join(", ")}`);
    return [folder, purpose.replaceAll("`", ""), wings.join("; ") || "nothing"];
  });
  assert.deepEqual(rows(page("docs/explanation/architecture.md"), "Folder"), enforced);
});

Deno.test("CONTRIBUTING.md lists the tasks", () => {
  const listed = rows(page("CONTRIBUTING.md"), "Task");
  const tasks = Object.entries(denoJson.tasks).map(([name, { description }]) => [
    name,
    description,
  ]);
  assert.deepEqual(listed, tasks);
});

Deno.test("the reference lists each permission of the shipped programs", () => {
  const shipped = Object.entries(permissions).flatMap(([name, list]) =>
    list.map(({ flag, reason }) => [name, flag, reason])
  );
  assert.deepEqual(rows(page("docs/reference/permissions.md"), "Program"), shipped);
});

Deno.test("the reference lists V8's flags", () => {
  const shipped = Object.entries(engineFlags).flatMap(([name, list]) =>
    list.map(({ flag, reason }) => [name, flag, reason])
  );
  assert.deepEqual(rows(page("docs/reference/permissions.md"), "V8 of"), shipped);
});

/** Name and type of each metric that a program registers with what it is given. */
function metricsOf(register: (metrics: Metrics) => void): string[][] {
  const metrics = new Metrics();
  register(metrics);
  return [...metrics.expose().matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [
    name ?? "",
    type ?? "",
  ]);
}

Deno.test("the reference lists the metrics of each program", () => {
  const idle = {
    certificates: 0,
    waiting: {},
    connections: {},
    caNotAfter: undefined,
    shortened: 0,
  };
  const exposed = [
    ...metricsOf((metrics) => {
      volumeMetrics(metrics);
      new ClockSkewReport(metrics);
    })
      .map((metric) => ["csi-driver", ...metric]),
    ...metricsOf((metrics) => {
      clientCounters(metrics);
      serviceMetrics(metrics, () => idle);
    })
      .map((metric) => ["cert-service", ...metric]),
    ...metricsOf((metrics) => {
      createCallMetrics(metrics);
      observeEventLoopLag(metrics, new FakeClock());
      surviveUnhandledErrors(getLogger(), metrics, new FakeClock())[Symbol.dispose]();
    }).map((metric) => ["both", ...metric]),
  ];
  const listed = rows(page("docs/reference/metrics.md"), "Program").map((cells) =>
    cells.slice(0, 3)
  );
  assert.deepEqual(listed.sort(), exposed.sort());
});

Deno.test("the reference lists the keys of a policy's rules", () => {
  const refused = parsePolicyFile("rules: [{ unheardOf: 1 }]", policy());
  assert.equal(refused.kind, "refused");
  const known = /"unheardOf" is unknown; expected one of (.*)/.exec(refused.problems.join("\n"));
  const listed = rows(page("docs/reference/policy.md"), "Key").map(([key]) => key);
  assert.deepEqual(listed.sort(), known?.[1]?.split(", ").sort());
});

/** All source text, with messages that continue on the next line put together. */
const sources = sourceTexts("src").join("\n")
  .replace(/["`]\s*\+\s*["`]/g, "");

/** The parts of a quoted message between "…", which stands for what differs, that are long enough to search for. */
function fixedParts(message: string): string[] {
  return message.split("…").map((part) => part.trim().replace(/^\W+/, "")).filter((part) =>
    part.length >= 10
  );
}

Deno.test("every message that the errors page quotes is one of the programs'", () => {
  const text = page("docs/reference/errors.md");
  const quoted = [...text.matchAll(/^\| (`.*?`)\s+\| [A-Z]/gm)]
    .flatMap(([, cell = ""]) => cell.split(/`, `/)).map((one) => one.replaceAll("`", ""))
    // The kubelet's own text.
    .filter((message) => !message.startsWith("driver name csi.k8s"));
  assert.ok(quoted.length > 25, `${quoted.length} messages`);
  for (const part of quoted.flatMap(fixedParts)) assert.ok(sources.includes(part), part);
});

/** What the how-to pages quote of other programs: the kubelet, kubectl, nginx, OpenSSL. */
const foreign = ["not found in the list of registered CSI drivers", "key values mismatch"]
  .concat("ErrImagePull", "insufficient quota to match these scopes")
  .concat("unable to validate against any security context constraint")
  .concat("hostPath type check failed");

Deno.test("every message that a how-to page quotes as a problem is one of the programs'", () => {
  const problems = pages().filter((path) => path.startsWith("docs/how-to/")).map((path) =>
    page(path).split(/^## What can go wrong$/m)[1]?.split(/^## /m)[0] ?? ""
  );
  const quoted = problems.flatMap((text) => [
    ...text.matchAll(/^(?:\| |- \*\*)`([^`]{12,})`/gm),
  ]).map(([, message = ""]) => message).filter((message) => !foreign.includes(message));
  assert.ok(quoted.length > 12, `${quoted.length} messages`);
  for (const part of quoted.flatMap(fixedParts)) assert.ok(sources.includes(part), part);
});

Deno.test("every message that the changelog states as the new one is one of the programs'", () => {
  const unreleased = page("CHANGELOG.md").split(/^## /m).find((text) => /^Unreleased$/m.test(text));
  const messages = [...(unreleased ?? "").matchAll(/^\| `.*` +\| `(.*)` +\|$/gm)]
    .map(([, message = ""]) => message);
  assert.ok(messages.length > 40, `${messages.length} messages`);
  for (const part of messages.flatMap(fixedParts)) assert.ok(sources.includes(part), part);
});

Deno.test("every log message that the reference lists is one of the programs'", () => {
  const listed = [
    ...page("docs/reference/logs.md").matchAll(/^\| `(.*?)` +\| (?:info|warn|err|fat)/gm),
  ]
    .map(([, message = ""]) => message);
  assert.ok(listed.length > 15, `${listed.length} messages`);
  for (const message of listed) assert.ok(sources.includes(message), message);
});

Deno.test("the reference lists the audit log's actions", () => {
  const listed = rows(page("docs/reference/logs.md"), "action").flatMap(([cell = ""]) =>
    cell.split(", ")
  );
  const actions: Record<AuditEntry["action"], true> = {
    attest: true,
    authenticate: true,
    get: true,
    issue: true,
    list: true,
    nodes: true,
    renew: true,
    report: true,
    revoke: true,
  };
  assert.deepEqual(listed.sort(), Object.keys(actions));
});

for (const name of ["administration", "standalone"] as const) {
  Deno.test(`the commands that the cluster tests run are in the page: ${name}`, () => {
    assert.notEqual(documentedBlock(name), "");
  });
}

Deno.test("the reference lists the commands", () => {
  const listed = rows(page("docs/reference/commands.md"), "Command").map(([command]) => command);
  const known = ["csi-driver", "csi-driver status", "cert-service"]
    .concat(commands.map((command) => `cert-service ${command}`));
  assert.deepEqual(listed.sort(), known.sort());
});
