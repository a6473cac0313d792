import assert from "node:assert/strict";
import { getLogger } from "@logtape/logtape";
import { parse } from "yaml";
import denoJson from "../deno.json" with { type: "json" };
import { engineFlags, permissions } from "../scripts/permissions.ts";
import { parsePolicyFile } from "../src/service/policy/policy_file.ts";
import { driverVariables } from "../src/driver/program/config.ts";
import type { VariableTable } from "../src/shared/config/environment.ts";
import { serviceVariables } from "../src/service/program/variables.ts";
import { createCallMetrics } from "../src/shared/telemetry/call_metrics.ts";
import { observeEventLoopLag } from "../src/shared/telemetry/event_loop_lag.ts";
import { Metrics } from "../src/shared/telemetry/metrics.ts";
import { surviveUnhandledErrors } from "../src/shared/telemetry/unhandled_errors.ts";
import { clientCounters, serviceMetrics } from "../src/service/program/metrics.ts";
import { volumeMetrics } from "../src/driver/program/metrics.ts";
import { knownAttributes, parseAttributes } from "../src/shared/attributes/attribute_parser.ts";
import { templateFields } from "../src/shared/attributes/templates.ts";
import { FakeClock } from "../scripts/support/fake_clock.ts";
import { folders } from "./support/import_table.ts";

const root = new URL("../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", root));

/** The text under a heading, up to the next one. */
function section(heading: string): string {
  const lines = readme.split("\n");
  const start = lines.indexOf(heading);
  assert.notEqual(start, -1, `README.md has no heading "${heading}"`);
  const end = lines.findIndex((line, index) => index > start && /^#{1,3} /.test(line));
  return lines.slice(start + 1, end === -1 ? undefined : end).join("\n");
}

/** The rows below a table's heading row, cell by cell, without the marks of code. */
function rows(text: string, firstHeading: string): string[][] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => cells(line)[0] === firstHeading);
  assert.notEqual(start, -1, `there is no table that starts with "${firstHeading}"`);
  const rest = lines.slice(start + 2);
  const end = rest.findIndex((line) => !line.startsWith("|"));
  return rest.slice(0, end === -1 ? undefined : end).map(cells);
}

function cells(line: string): string[] {
  if (!line.startsWith("|")) return [];
  return line.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("`", ""));
}

for (
  const [heading, table] of [
    ["### csi-driver", driverVariables],
    ["### cert-service", serviceVariables],
  ] as [string, VariableTable][]
) {
  Deno.test(`the README describes each variable under "${heading}" as --help does`, () => {
    const described = Object.values(table).map((variable) => [
      variable.name,
      variable.defaultText ?? variable.default ?? "",
      variable.description,
    ]);
    assert.deepEqual(rows(section(heading), "Variable"), described);
  });
}

Deno.test("the README lists the volume attributes that are accepted, and the templates' fields", () => {
  const text = section("## Volume attributes");
  const listed = rows(text, "Attribute").map(([name]) => name);
  assert.deepEqual(listed.sort(), [...knownAttributes].sort());
  for (const field of templateFields) assert.ok(text.includes(`\`{${field}}\``), field);
});

Deno.test("the README's import table is the one that is enforced", () => {
  const enforced = Object.entries(folders).map(([folder, { purpose, mayImport }]) => {
    const wings = Object.entries(mayImport).map(([wing, names]) => `${wing}: ${names.join(", ")}`);
    return [folder, purpose.replaceAll("`", ""), wings.join("; ") || "nothing"];
  });
  assert.deepEqual(rows(section("## Development"), "Folder"), enforced);
});

Deno.test("the README lists the tasks there are", () => {
  const listed = rows(section("## Development"), "Task");
  const tasks = Object.entries(denoJson.tasks).map(([name, { description }]) => [
    name,
    description,
  ]);
  assert.deepEqual(listed, tasks);
});

Deno.test("the README states each permission that the programs ship with", () => {
  const shipped = Object.entries(permissions).flatMap(([name, list]) =>
    list.map(({ flag, reason }) => [name, flag, reason])
  );
  assert.deepEqual(rows(section("## Security"), "Program"), shipped);
});

Deno.test("the README states V8's flags", () => {
  const shipped = Object.entries(engineFlags).flatMap(([name, list]) =>
    list.map(({ flag, reason }) => [name, flag, reason])
  );
  assert.deepEqual(rows(section("## Security"), "V8 of"), shipped);
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

Deno.test("the README lists the metrics of each program", () => {
  const nothing = { volumes: 0, failing: 0, earliestExpiry: undefined };
  const idle = {
    certificates: 0,
    waiting: {},
    connections: {},
    caNotAfter: undefined,
    shortened: 0,
  };
  const exposed = [
    ...metricsOf((metrics) => volumeMetrics(metrics, () => nothing))
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
  const listed = rows(section("## Monitoring"), "Program").map((cells) => cells.slice(0, 3));
  assert.deepEqual(listed.sort(), exposed.sort());
});

Deno.test("the README lists the keys of a policy's rules", () => {
  const refused = parsePolicyFile("rules: [{ unheardOf: 1 }]");
  assert.equal(refused.kind, "refused");
  const known = /"unheardOf" is unknown; expected one of (.*)/.exec(refused.problems.join("\n"));
  const listed = rows(section("## Policy"), "Key").map(([key]) => key);
  assert.deepEqual(listed.sort(), known?.[1]?.split(", ").sort());
});

/** The README's fenced blocks of YAML. */
const examples = [...readme.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text = ""]) => text);

Deno.test("the README's example of volume attributes is accepted", () => {
  const found = examples.map((text) => parse(text)?.csi?.volumeAttributes).filter(Boolean);
  assert.equal(found.length, 1);
  assert.equal(parseAttributes(found[0]).kind, "attributes");
});

Deno.test("the README's policy is accepted", () => {
  const found = examples.filter((text) => text.startsWith("rules:"));
  assert.equal(found.length, 1);
  assert.deepEqual(parsePolicyFile(found[0] ?? "").kind, "rules");
});

Deno.test("what the README links to is there", async () => {
  for (const [, target = ""] of readme.matchAll(/\]\(([^)]+)\)/g)) {
    if (target.startsWith("#")) {
      const headings = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, text = ""]) =>
        `#${text.toLowerCase().replaceAll(" ", "-")}`
      );
      assert.ok(headings.includes(target), target);
    } else {
      await Deno.stat(new URL(target, root));
    }
  }
});
