import assert from "node:assert/strict";
import denoJson from "../../deno.json" with { type: "json" };
import { imageName } from "../../scripts/image.ts";
import { driverVariables } from "../../src/driver/program/config.ts";
import {
  getCommand,
  listCommand,
  nodesCommand,
  revokeCommand,
} from "../../src/service/admin/certificate_commands.ts";
import type { CommandResult } from "../../src/service/admin/command_result.ts";
import { caManifest } from "../../src/service/admin/ca_manifest.ts";
import { createCa, defaultCa } from "../../src/service/admin/init_ca.ts";
import { checkCa } from "../../src/service/admin/check_ca.ts";
import { checkPolicyFile, initCa } from "../../src/service/admin/commands.ts";
import { readServiceConfig } from "../../src/service/program/config.ts";
import { commands as serviceCommands } from "../../src/service/program/run_command.ts";
import { serviceVariables } from "../../src/service/program/variables.ts";
import { parseCommandLine } from "../../src/shared/config/command_line.ts";
import { blocks, page, pages, root } from "../support/documentation.ts";
import { type ShellCommand, shellCommands } from "../support/shell_commands.ts";

/** The changelog has commands of other versions too. */
const current = pages().filter((path) => path !== "CHANGELOG.md");
const documented = current.flatMap((path) =>
  blocks(page(path), "sh").flatMap(shellCommands).map((words) => ({ path, words }))
);

/** The arguments of a program, where it is the command itself or what another command executes. */
function argumentsOf(words: ShellCommand, program: RegExp): string[] | undefined {
  const at = words.findIndex((word) => program.test(word));
  const before = words[at - 1] ?? "";
  const isCalled = at === 0 || before === "--" || before === "-A" || before === "$node" ||
    /^[A-Z_]+=/.test(before);
  return at >= 0 && isCalled && !words.includes("$@") ? words.slice(at + 1) : undefined;
}

/** Runs a command as far as its arguments are concerned; no service is called and no file written. */
async function runServiceCommand(args: readonly string[]): Promise<CommandResult | undefined> {
  const line = parseCommandLine(args, serviceCommands);
  if (line.kind === "refused") return { kind: "refused", problems: [line.problem] };
  if (line.kind !== "command") return undefined;
  const environment = { socket: "/nonexistent/admin.sock", write: () => Promise.resolve() };
  const base = readServiceConfig({});
  assert.ok(base.kind === "config");
  switch (line.command) {
    case "init-ca":
      return await initCa(line.args, {
        now: Temporal.Now.instant(),
        write: () => Promise.resolve(),
        read: async () =>
          caManifest(await createCa(defaultCa, Temporal.Now.instant().subtract({ hours: 1 }))),
      });
    case "check-ca":
      return await checkCa(line.args, {
        now: Temporal.Now.instant(),
        names: base.config,
        read: async () =>
          new TextEncoder().encode(caManifest(await createCa(defaultCa, Temporal.Now.instant()))),
      });
    case "check-policy":
      return await checkPolicyFile(line.args, base.config, () => Promise.resolve("rules: []"));
    case "list":
      return await listCommand(line.args, environment);
    case "nodes":
      return await nodesCommand(line.args, environment);
    case "get":
      return await getCommand(line.args, environment);
    case "revoke":
      return await revokeCommand(line.args, environment);
    default:
      return line.command satisfies never;
  }
}

Deno.test("each documented command of cert-service has arguments that it accepts", async () => {
  // A page can give `cert-service` in the service's container a short name.
  const program = /^(.*\/)?(cert-service|cert_service\.ts|service)$/;
  const calls = documented.flatMap(({ path, words }) => {
    const args = argumentsOf(words, program);
    return args === undefined ? [] : [{ path, words, args }];
  });
  assert.ok(calls.length >= 12, `${calls.length} calls`);
  for (const { path, words, args } of calls) {
    const result = await runServiceCommand(args)
      .catch((error) => assert.fail(`${path}: ${words.join(" ")}: ${error}`));
    assert.notEqual(result?.kind, "refused", `${path}: ${words.join(" ")}`);
  }
});

Deno.test("each documented command of csi-driver has arguments that it accepts", () => {
  const calls = documented.flatMap(({ path, words }) => {
    const args = argumentsOf(words, /^(.*\/)?(csi-driver|csi_driver\.ts)$/);
    return args === undefined ? [] : [{ path, args }];
  });
  assert.ok(calls.length >= 5, `${calls.length} calls`);
  for (const { path, args } of calls) {
    const line = parseCommandLine(args, ["status"]);
    assert.notEqual(line.kind, "refused", `${path}: csi-driver ${args.join(" ")}`);
  }
});

Deno.test("each documented task exists, and its script knows the options that it is given", () => {
  const inText = current.flatMap((path) =>
    [...page(path).matchAll(/`([^`\n]*\bdeno(?:@\S+)? task [^`\n]+)`/g)]
      .flatMap(([, text = ""]) => shellCommands(text)).map((words) => ({ path, words }))
  );
  const tasks: Readonly<Record<string, { command: string }>> = denoJson.tasks;
  const calls = [...documented, ...inText].flatMap(({ path, words }) => {
    const at = words.findIndex((word, index) =>
      /^deno(@|$)/.test(word) && words[index + 1] === "task"
    );
    return at < 0 ? [] : [{ path, words: words.slice(at + 2) }];
  }).filter(({ words: [name] }) => name !== "NAME");
  assert.ok(calls.length >= 8, `${calls.length} calls`);
  for (const { path, words: [name = "", ...options] } of calls) {
    assert.ok(Object.hasOwn(tasks, name), `${path}: task ${name}`);
    const script = tasks[name]?.command.split(" ").at(-1) ?? "";
    const text = Deno.readTextFileSync(new URL(script, root));
    for (const option of options.filter((word) => word.startsWith("--"))) {
      assert.match(text, new RegExp(`\\b${option.slice(2)}\\b`), `${path}: task ${name} ${option}`);
    }
  }
});

Deno.test("each documented command names the version of Deno that the image is built with", () => {
  const [, version] = /^ARG DENO_VERSION=(.*)$/m.exec(page("Containerfile")) ?? [];
  const named = current.flatMap((path) => [...page(path).matchAll(/\bdeno@([\d.]*\d)/g)]);
  assert.ok(named.length >= 10, `${named.length} versions`);
  assert.deepEqual([...new Set(named.map(([, found]) => found))], [version]);
});

/** Variables that our scripts read, and no program. */
const scriptVariables = ["DENORT_BIN", "BUNDLE_FOLDER", "FUZZ_RUNS", "FUZZ_SEED"]
  .concat("ATTACKS_SOAK_MINUTES");

Deno.test("each variable that a command sets is one that the programs or the scripts read", () => {
  const known = [...Object.values(driverVariables), ...Object.values(serviceVariables)]
    .map(({ name }): string => name).concat(scriptVariables);
  const set = documented.flatMap(({ path, words }) =>
    words.flatMap((word, index) => {
      const isAssigned = index === 0 || words[index - 1] === "-e" || words[1] === "set" ||
        words.includes("env");
      const [, name] = isAssigned ? /^([A-Z][A-Z0-9_]+)[=-]/.exec(word) ?? [] : [];
      return name === undefined ? [] : [{ path, name }];
    })
  );
  assert.ok(set.length >= 10, `${set.length} variables`);
  for (const { path, name } of set) assert.ok(known.includes(name), `${path}: ${name}`);
});

Deno.test("each variable that a how-to page names is one that the programs or the scripts read", () => {
  const known = [...Object.values(driverVariables), ...Object.values(serviceVariables)]
    .map(({ name }): string => name).concat(scriptVariables);
  for (const path of current.filter((path) => /^docs\/(how-to|tutorial)\//.test(path))) {
    for (const [, name = ""] of page(path).matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g)) {
      assert.ok(known.includes(name), `${path}: ${name}`);
    }
  }
});

Deno.test("each file of the repository that a command reads exists", () => {
  const paths = documented.flatMap(({ words }) =>
    words.filter((word) => /^(deploy|src|scripts|tests)\/.*\.\w+$/.test(word))
  );
  assert.ok(paths.length >= 10, `${paths.length} paths`);
  for (const path of paths) assert.ok(Deno.statSync(new URL(path, root)), path);
});

Deno.test("each command that builds the image names the Containerfile, which Docker does not find by itself", () => {
  const builds = documented.filter(({ words: [program, verb] }) =>
    program === "docker" && verb === "build"
  );
  assert.ok(builds.length >= 2, `${builds.length} builds`);
  for (const { path, words } of builds) {
    assert.equal(words[words.indexOf("-f") + 1], "Containerfile", path);
    assert.ok(words.includes(imageName), path);
  }
});

Deno.test("what check-policy prints in the how-to page is what it prints", async () => {
  const text = page("docs/how-to/set-a-policy.md");
  const [policy = ""] = blocks(text, "yaml");
  const [call = []] = blocks(text, "sh").flatMap(shellCommands)
    .filter((words) => words.includes("check-policy"));
  const base = readServiceConfig({});
  assert.ok(base.kind === "config");
  const result = await checkPolicyFile(
    call.slice(2),
    base.config,
    () => Promise.resolve(policy),
  );
  assert.deepEqual(result, { kind: "done", exitCode: 0, output: blocks(text, "text")[0] });
});
