import assert from "node:assert/strict";
import fc from "fast-check";
import { driverVariables, readDriverConfig } from "../../../src/driver/program/config.ts";
import type { Environment, VariableTable } from "../../../src/shared/config/environment.ts";
import { readServiceConfig } from "../../../src/service/program/config.ts";
import { serviceVariables } from "../../../src/service/program/variables.ts";

const tables: VariableTable[] = [driverVariables, serviceVariables];

function warnings(environment: Environment): string[] {
  const outcome = readDriverConfig(environment, "node-1");
  return outcome.kind === "config" ? outcome.warnings : assert.fail(outcome.problems.join("\n"));
}

function level(environment: Environment): string {
  const outcome = readDriverConfig(environment, "node-1");
  return outcome.kind === "config" ? outcome.config.logging.level : assert.fail();
}

Deno.test("every default is a value that its own variable accepts", () => {
  for (const { name, default: text, parse } of tables.flatMap((table) => Object.values(table))) {
    if (text !== undefined) assert.notEqual(parse(text), undefined, name);
  }
});

for (const name of ["GRPC_TRACE", "GRPC_NODE_TRACE"]) {
  Deno.test(`${name} is refused, because it prints tokens, and not echoed`, () => {
    const outcomes = [
      readDriverConfig({ [name]: "a-value" }, "n"),
      readServiceConfig({ [name]: "a-value" }),
    ];
    for (const outcome of outcomes) {
      const problems = outcome.kind === "refused" ? outcome.problems : assert.fail();
      assert.match(problems.join(), new RegExp(`^${name} .*tokens among it`));
      assert.ok(!problems.join().includes("a-value"));
    }
  });
}

Deno.test("a value is shown short and printable", () => {
  const outcome = readServiceConfig({ TLS: `\u001b[31m${"x".repeat(10_000)}` });
  const [problem = ""] = outcome.kind === "refused" ? outcome.problems : [];
  assert.match(problem, /^TLS="\\u\{1b\}\[31mx+…": expected on or off$/);
  assert.ok(problem.length < 100);
});

for (
  const [given, meant] of [
    ["CHECK_INTERVALL", "CHECK_INTERVAL"],
    ["CHEK_INTERVAL", "CHECK_INTERVAL"],
    ["CERT_SERVICE_ADRESS", undefined],
    ["CERT_SERVICE_ADD", "CERT_SERVICE_ADDR"],
    ["CERT_SERIVCE_ADDR", "CERT_SERVICE_ADDR"],
    ["NODEID", "NODE_ID"],
    ["LOGLEVEL", "LOG_LEVEL"],
    ["node_id", undefined],
    ["CERT_SERVICE_PORT", undefined],
    ["CERT_SERVICE_SERVICE_HOST", undefined],
    ["PATH", undefined],
    ["TZ", undefined],
    ["", undefined],
    ["X".repeat(10_000), undefined],
  ] as const
) {
  Deno.test(`"${given.slice(0, 30)}" ${meant ? `hints at ${meant}` : "is accepted"}`, () => {
    assert.deepEqual(
      warnings({ [given]: "1" }),
      meant ? [`${given} is not known: is ${meant} meant?`] : [],
    );
  });
}

Deno.test("any letter missing, added, changed or swapped with its neighbour is noticed", () => {
  const long = fc.constantFrom("CHECK_INTERVAL", "CERT_SERVICE_ADDR", "CERT_BASE_PATH");
  const edit = fc.constantFrom("missing", "added", "changed", "swapped");
  fc.assert(fc.property(long, edit, fc.nat(12), (name, edit, at) => {
    const [before, letter, next, rest] = [
      name.slice(0, at),
      name.charAt(at),
      name.charAt(at + 1),
      name.slice(at + 2),
    ];
    if (edit === "swapped") fc.pre(letter !== next);
    const middle = { missing: next, added: `${letter}#${next}`, changed: `#${next}` };
    const given = before + (edit === "swapped" ? next + letter : middle[edit]) + rest;
    assert.deepEqual(warnings({ [given]: "1" }), [`${given} is not known: is ${name} meant?`]);
  }));
});

Deno.test("a variable that is set is not what a similar name stands for", () => {
  assert.deepEqual(warnings({ NODE_IP: "10.0.0.1", NODE_ID: "node-1" }), []);
});

for (
  const [environment, expected] of [
    [{ LOG_LEVEL: "warn" }, "warning"],
    [{ LOG_LEVEL: "warning" }, "warning"],
    [{ LOG_LEVEL: "ERROR" }, "error"],
    [{ LOG_LEVEL: "trace", RUST_LOG: "debug" }, "trace"],
    [{ RUST_LOG: "debug" }, "debug"],
    [{ RUST_LOG: "info,h2=warn" }, "info"],
    [{ RUST_LOG: "h2=warn, hyper, DEBUG" }, "debug"],
    [{ RUST_LOG: "error/pattern,info" }, "error"],
    [{ RUST_LOG: "h2=warn" }, "info"],
  ] as const
) {
  Deno.test(`${JSON.stringify(environment)} logs from ${expected}`, () => {
    assert.equal(level(environment), expected);
  });
}

Deno.test("a RUST_LOG that names no level of its own is warned of, not refused", () => {
  for (const text of ["h2=warn", "verbose", ",", "/"]) {
    assert.match(warnings({ RUST_LOG: text }).join(), /^RUST_LOG=".*" names no level/);
  }
});

Deno.test("no environment makes the reading throw or answer with an unprintable line", () => {
  const names = tables.flatMap((table) => Object.values(table).map((variable) => variable.name));
  const part = fc.constantFrom("/", "a", ":", "1", ".", "unix://", "https://", "[", "h", ",", "=");
  const odd = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(""));
  const value = fc.oneof(fc.string({ unit: "binary" }), odd, odd.map((text) => text.repeat(1_000)));
  const name = fc.oneof(fc.constantFrom(...names), fc.string());
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 8 }), (environment) => {
      for (const outcome of [readDriverConfig(environment, "n"), readServiceConfig(environment)]) {
        const lines = outcome.kind === "refused" ? outcome.problems : outcome.warnings;
        for (const line of lines) assert.match(line, /^[^\p{C}\ufffd]{1,300}$/u);
      }
    }),
    { interruptAfterTimeLimit: 20_000, markInterruptAsFailure: true },
  );
});
