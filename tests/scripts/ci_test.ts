import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../support/temporary_folder.ts";

/** What a task prints, with its exit code; a task that is not given passes one test. */
type Outcomes = Readonly<Record<string, { readonly prints: string; readonly code: number }>>;

/** Runs .ci/run with programs in place of those that it starts; returns what it prints. */
async function runCi(outcomes: Outcomes): Promise<{ code: number; lines: string[] }> {
  await using folder = await temporaryFolder();
  const cases = Object.entries(outcomes).map(([task, { prints, code }]) =>
    `"task ${task}") printf '%s\\n' '${prints}'; exit ${code};;`
  );
  const programs = {
    "apt-get": "exit 0",
    id: "echo 0",
    npx: `shift 2; case "$*" in ${cases.join(" ")} *) echo '1 passed, 0 failed';; esac`,
    // So that the demo of an ordinary user is skipped.
    setpriv: "exit 1",
  };
  for (const [name, text] of Object.entries(programs)) {
    await Deno.writeTextFile(`${folder.path}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  const { code, stdout } = await new Deno.Command("bash", {
    args: [fileURLToPath(new URL("../../.ci/run", import.meta.url))],
    env: { PATH: `${folder.path}:${Deno.env.get("PATH")}` },
    stderr: "null",
  }).output();
  return { code, lines: new TextDecoder().decode(stdout).trim().split("\n") };
}

/** The lines between "what failed" and the sum. */
function whatFailed(lines: readonly string[]): string[] {
  return lines.slice(lines.indexOf("== what failed") + 1, lines.lastIndexOf("== sum") - 1);
}

Deno.test("CI adds up the counts of its suites, in each form in which a task prints them", async () => {
  const { code, lines } = await runCi({
    test: { prints: "ok | 5 passed (2 steps) | 0 failed | 3 ignored (1 step) (2s)", code: 0 },
    e2e: { prints: "ok | 7 passed | 0 failed (1s)\n8 passed, 0 failed, 1 skipped", code: 0 },
  });
  // Three suites, five and eight tests, two demos; the third demo is skipped.
  assert.equal(lines.at(-1), "19 passed, 0 failed, 5 skipped");
  assert.equal(code, 0);
  assert.ok(!lines.includes("== what failed"));
});

Deno.test("CI repeats the lines that name what failed, and no others", async () => {
  const { code, lines } = await runCi({
    test: {
      prints: "a job runs => ./tests/a_test.ts:1:6\nFAILED | 1 passed | 1 failed (2s)",
      code: 1,
    },
    conformance: { prints: "conformance: FAILED: a spec\n2 passed, 1 failed, 0 skipped", code: 1 },
    attacks: { prints: "failed  flood/each kind\n0 passed, 1 failed", code: 1 },
  });
  assert.equal(lines.at(-1), "8 passed, 3 failed, 1 skipped");
  assert.equal(code, 1);
  assert.deepEqual(whatFailed(lines).filter((line) => line.startsWith(" ")), [
    "  a job runs => ./tests/a_test.ts:1:6",
    "  conformance: FAILED: a spec",
    "  failed  flood/each kind",
  ]);
});

Deno.test("CI counts a task that fails after its tests passed, and repeats its last lines", async () => {
  const passed = "ok | 1 passed | 0 failed (1s)";
  const { code, lines } = await runCi({
    test: { prints: `${passed}\ntest: FAILED: lint; 1 test passed`, code: 1 },
    faults: { prints: "the last step\n1 passed, 0 failed", code: 124 },
    attacks: { prints: "an attack", code: 124 },
    demo: { prints: "a step", code: 1 },
  });
  assert.equal(lines.at(-1), "6 passed, 4 failed, 1 skipped");
  assert.equal(code, 1);
  assert.deepEqual(whatFailed(lines), [
    "formatting, lint, type check, tests, which ended with exit code 1:",
    "  test: FAILED: lint; 1 test passed",
    "faults, which ended with exit code 124:",
    "  the last step",
    "  1 passed, 0 failed",
    "attacks, which ended with exit code 124 and no counts:",
    "  an attack",
    "demo, which ended with exit code 1:",
    "  a step",
  ]);
});
