import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import { policy } from "../support/service_fixture.ts";
import { parsePolicyFile } from "../../src/service/policy/policy_file.ts";
import { parseAttributes } from "../../src/shared/attributes/attribute_parser.ts";
import { driverName } from "../../src/shared/text/product_names.ts";
import { blocks, page, pages, root, rows } from "../support/documentation.ts";
import { shellCommands } from "../support/shell_commands.ts";

// deno-lint-ignore no-explicit-any
type Yaml = any;

/** A document in YAML, and the page or the file that holds it. */
interface Example {
  readonly path: string;
  readonly document: Yaml;
}

function parseExamples(path: string, text: string): Example[] {
  return parseAllDocuments(text, { version: "1.2" }).map((document) => {
    assert.deepEqual("errors" in document ? document.errors : [], [], path);
    return { path, document: document.toJS() };
  });
}

const files = ["deploy", "deploy/base", "deploy/examples"].flatMap((folder) =>
  [...Deno.readDirSync(new URL(folder, root))].filter(({ name }) => name.endsWith(".yaml"))
    .map(({ name }) => `${folder}/${name}`)
);
const examples = [
  ...files.flatMap((path) => parseExamples(path, page(path))),
  ...pages().flatMap((path) =>
    blocks(page(path), "yaml").flatMap((text) => parseExamples(path, text))
  ),
];

/** A value and all values inside it. */
function* within(value: Yaml): Generator<Yaml> {
  yield value;
  if (typeof value !== "object" || value === null) return;
  for (const each of Object.values(value)) yield* within(each);
}

Deno.test("each volume of this driver in an example has attributes that the driver accepts", () => {
  const volumes = examples.flatMap(({ path, document }) =>
    [...within(document)].filter((value) => value?.driver === driverName)
      .map((volume) => ({ path, volume }))
  );
  assert.ok(volumes.length >= 8, `${volumes.length} volumes`);
  for (const { path, volume: { volumeAttributes = {}, readOnly } } of volumes) {
    const parsed = parseAttributes(volumeAttributes);
    assert.deepEqual(parsed.problems, [], path);
    assert.equal(readOnly, true, path);
  }
});

Deno.test("each policy in a page is accepted", () => {
  const inPages = pages().flatMap((path) => blocks(page(path), "yaml"))
    .filter((text) => text.startsWith("rules:"));
  assert.ok(inPages.length >= 2);
  for (const text of inPages) {
    assert.equal(parsePolicyFile(text, policy()).kind, "rules", text);
  }
});

Deno.test("each container in an example mounts volumes of its own pod", () => {
  const pods = examples.map(({ document }) => document?.spec?.template?.spec ?? document?.spec)
    .filter((spec) => spec?.containers !== undefined);
  assert.ok(pods.length >= 6, `${pods.length} pods`);
  for (const { containers, volumes } of pods) {
    const names = volumes.map(({ name }: Yaml) => name);
    for (const { volumeMounts } of containers) {
      for (const { name } of volumeMounts) assert.ok(names.includes(name), name);
    }
  }
});

Deno.test("the script that reloads nginx is the one of the example", () => {
  const scripts = examples.flatMap(({ document }) => document?.data?.["start.sh"] ?? []);
  const [documented = ""] = blocks(page("docs/how-to/reload-certificates.md"), "sh");
  assert.equal(scripts.length, 1);
  assert.ok(scripts[0].endsWith(documented), documented);
});

Deno.test("the alerts and the how-to pages name metrics that the programs have", () => {
  const known = new Set(
    rows(page("docs/reference/metrics.md"), "Program").map(([, metric]) => metric),
  );
  const expressions = examples.flatMap(({ document }) =>
    [...within(document)].flatMap((value) => value?.alert === undefined ? [] : [value.expr])
  );
  assert.ok(expressions.length >= 5, `${expressions.length} alerts`);
  const texts = pages().filter((path) => path.startsWith("docs/how-to/")).map(page);
  const named = [...expressions, ...texts].flatMap((text) =>
    text.match(/\b(csi_cert|grpc_server|event_loop|unhandled)_[a-z_]+\b/g) ?? []
  );
  for (const metric of named) assert.ok(known.has(metric), metric);
});

Deno.test("each workload that a command names is one of the manifests'", () => {
  const kinds: Record<string, string> = { deploy: "Deployment", deployment: "Deployment" };
  const workloads = new Set(
    examples.map(({ document }) => `${document?.kind}/${document?.metadata?.name}`),
  );
  const named = pages().flatMap((path) => blocks(page(path), "sh")).flatMap(shellCommands)
    .filter(([command]) => command === "kubectl").flat()
    .map((word) => /^(deploy|deployment|daemonset)\/([a-z-]+)$/.exec(word) ?? [])
    .flatMap(([, kind = "", name]) => name ? [`${kinds[kind] ?? "DaemonSet"}/${name}`] : []);
  assert.ok(named.length >= 20, `${named.length} workloads`);
  for (const workload of named) assert.ok(workloads.has(workload), workload);
});
