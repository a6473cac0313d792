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
import {
  anchors,
  blocks,
  links,
  page,
  pages,
  root,
  rows,
  withoutCode,
} from "./support/documentation.ts";
import { folders } from "./support/import_table.ts";

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
  const listed = rows(page("docs/reference/metrics.md"), "Program").map((cells) =>
    cells.slice(0, 3)
  );
  assert.deepEqual(listed.sort(), exposed.sort());
});

Deno.test("the reference lists the keys of a policy's rules", () => {
  const refused = parsePolicyFile("rules: [{ unheardOf: 1 }]");
  assert.equal(refused.kind, "refused");
  const known = /"unheardOf" is unknown; expected one of (.*)/.exec(refused.problems.join("\n"));
  const listed = rows(page("docs/reference/policy.md"), "Key").map(([key]) => key);
  assert.deepEqual(listed.sort(), known?.[1]?.split(", ").sort());
});

/** The examples in YAML, of all pages. */
const examples = pages().flatMap((path) => blocks(page(path), "yaml"));

Deno.test("each documented example of volume attributes is accepted", () => {
  const found = examples.map((text) => parse(text)?.csi?.volumeAttributes).filter(Boolean);
  assert.notEqual(found.length, 0);
  for (const attributes of found) assert.equal(parseAttributes(attributes).kind, "attributes");
});

Deno.test("each documented policy is accepted", () => {
  const found = examples.filter((text) => text.startsWith("rules:"));
  assert.notEqual(found.length, 0);
  for (const policy of found) assert.equal(parsePolicyFile(policy).kind, "rules", policy);
});

for (const path of pages()) {
  Deno.test(`every link of ${path} leads to a file and a heading that exist`, async () => {
    for (const link of links(page(path))) {
      if (/^https?:/.test(link)) continue;
      const [file = "", anchor] = link.split("#");
      const target = file === "" ? new URL(path, root) : new URL(file, new URL(path, root));
      await Deno.stat(target);
      if (anchor === undefined) continue;
      const known = anchors(await Deno.readTextFile(target));
      assert.ok(known.includes(anchor), `${link}: the headings are ${known.join(", ")}`);
    }
  });

  Deno.test(`${path} starts with its one heading of the first level`, () => {
    const text = withoutCode(page(path));
    assert.match(text, /^# \S/);
    assert.equal(text.match(/^# /gm)?.length, 1);
  });
}

Deno.test("README.md has at most 150 lines, and the two first commands near its top", () => {
  const lines = page("README.md").trimEnd().split("\n");
  assert.ok(lines.length <= 150, `${lines.length} lines`);
  for (const task of ["demo", "test"]) {
    const line = lines.indexOf(`npx --yes deno@2.9.6 task ${task}`);
    assert.ok(line >= 0 && line < 50, task);
  }
});
