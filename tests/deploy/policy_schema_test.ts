import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "yaml";
import schema from "../../deploy/policy.schema.json" with { type: "json" };
import { parsePolicyFile } from "../../src/service/policy/policy_file.ts";
import { lists, ruleKeys } from "../../src/service/policy/policy_formats.ts";
import { accepted, refused } from "../service/policy/policy_files.ts";
import { page } from "../support/documentation.ts";
import { editedExamplePolicy } from "../support/example_policy.ts";
import { policy } from "../support/service_fixture.ts";

const validator = new Ajv2020({ strict: true, allowUnionTypes: false });
const validate = validator.compile(schema);
const isValid = (text: string) => validate(parse(text));

Deno.test("the policy's schema accepts every file that the service accepts", () => {
  for (const { text } of accepted) {
    assert.ok(isValid(text), `${text}: ${validator.errorsText(validate.errors)}`);
  }
});

Deno.test("the policy's schema refuses every file that the service refuses, as far as a schema can", () => {
  for (const { text, schemaAccepts } of refused) {
    assert.equal(isValid(text), schemaAccepts !== undefined, text);
  }
  const decided = refused.filter(({ schemaAccepts }) => schemaAccepts === undefined);
  assert.ok(decided.length > 80, `${decided.length} files`);
});

Deno.test("the policy's schema describes each key of a rule, and no other", () => {
  const { properties } = schema.$defs.rule;
  assert.deepEqual(Object.keys(properties).sort(), [...ruleKeys].sort());
  for (const [key, { description }] of Object.entries(properties)) {
    assert.match(description, /^[A-Z].*\.$/, key);
  }
  const listed = properties.keyAlgorithms.items.enum;
  assert.deepEqual(lists.keyAlgorithms.expected, `one of ${listed.join(", ")}`);
});

Deno.test("the example policy names its schema, and grants nothing until it is edited", () => {
  const example = page("deploy/example-policy.yaml");
  assert.match(example, /^# yaml-language-server: \$schema=policy\.schema\.json\n/);
  assert.deepEqual(parsePolicyFile(example, policy()), { kind: "rules", rules: [], lines: [] });
  const edited = editedExamplePolicy();
  const parsed = parsePolicyFile(edited, policy());
  assert.deepEqual(parsed.kind === "refused" ? parsed.problems : parsed.rules.length, 4);
  for (const text of [example, edited]) assert.ok(isValid(text), text);
});
