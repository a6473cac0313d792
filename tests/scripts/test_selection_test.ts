import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { canContain, testNames } from "../../scripts/test_names.ts";
import { findTests, missedSelection, selectionArguments } from "../../scripts/test_selection.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

Deno.test("names are read from each form in which a test is registered", () => {
  const text = [
    'Deno.test("a \\"quoted\\" name", () => {});',
    "Deno.test(`a ${size({ of: `${key}}` })} name`, () => {});",
    'Deno.test({ ignore: true, name: "a named property", fn() {} });',
    'Deno.test({\n  name:\n    "a name " +\n    "in two parts", fn() {} });',
    'mountTest("a name given to a function", () => {});',
    'testWith("openssl", `${what} is read`, () => {});',
    "Deno.test(name, () => {});",
    "Deno.test({ name, fn() {} });",
  ].join("\n");
  assert.deepEqual(testNames(text), [
    ['a "quoted" name'],
    ["a ", " name"],
    ["a named property"],
    ["a name in two parts"],
    ["a name given to a function"],
    ["", " is read"],
    ["", ""],
    ["", ""],
  ]);
});

for (
  const [parts, words, expected] of [
    [["a key is read"], "key is", true],
    [["a key is read"], "key was", false],
    [["a ", " key is read"], "RSA key is", true],
    [["a ", " key is read"], "a RSA", true],
    [["a ", " key is read"], "a RSA key is read", true],
    [["a ", " key is read"], "a DSA key is read", false],
    [["a ", " key is read"], "RSA key was", false],
    [["a ", " key of ", " is read"], "RSA key of RSA is", true],
    [["a ", " key of ", " is read"], "DSA key of RSA is", false],
  ] as const
) {
  Deno.test(`"${words}" ${expected ? "can" : "cannot"} be in "${parts.join("RSA")}"`, () => {
    assert.equal(canContain(parts, words, (part) => part.trim() === "RSA"), expected);
  });
}

const files = {
  "tests/one_test.ts": 'Deno.test("a job runs", () => {});',
  "tests/support/names.ts": 'export const names = ["P-256", "Ed25519"];',
  "tests/support/two_support.ts": 'import { names } from "./names.ts";',
  "tests/keys/two_test.ts":
    'import { names } from "../support/two_support.ts";\nfor (const n of names) Deno.test(`a ${n} key signs ${2 ** 9} times`, () => {});',
  "tests/quoted_test.ts": 'Deno.test("a \\"quoted\\" name", () => {});',
  "tests/parts_test.ts":
    'const size = "large";\nDeno.test(\n  "a name in parts, " +\n    `one of them ${size}, is long`, () => {});',
  "tests/joined_test.ts":
    'for (const all of [["oak", "elm"]]) Deno.test(`${all.join(" and ")}: both grow`, () => {});',
  "tests/heavy/three_test.ts": 'Deno.test("a job fails", () => {});',
};

async function find(...words: string[]) {
  await using folder = await temporaryFolder();
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(dirname(join(folder.path, path)), { recursive: true });
    await Deno.writeTextFile(join(folder.path, path), text);
  }
  const scope = { below: "tests", except: ["tests/heavy"], folder: folder.path };
  return (await findTests(words, scope)).files;
}

Deno.test("without words every test is selected, except those of other tasks", async () => {
  const others = Object.keys(files).filter((path) => /^tests\/(?!heavy).*_test\.ts$/.test(path));
  assert.deepEqual(await find(), others.sort());
});

Deno.test("a path selects the files below it, also those of another task", async () => {
  assert.deepEqual(await find("tests/keys", "tests/heavy/three_test.ts"), [
    "tests/heavy/three_test.ts",
    "tests/keys/two_test.ts",
  ]);
});

for (
  const words of ["a P-256 key", "Ed25519 key signs", "key signs 512", "signs 512 times", "P-256"]
) {
  Deno.test(`"${words}" selects the file that builds such a name from an imported value`, async () => {
    assert.deepEqual(await find(words), ["tests/keys/two_test.ts"]);
  });
}

for (
  const [words, file] of [
    ['"quoted" name', "tests/quoted_test.ts"],
    ["in parts, one of", "tests/parts_test.ts"],
    ["them large, is", "tests/parts_test.ts"],
    ["oak and elm", "tests/joined_test.ts"],
  ] as const
) {
  Deno.test(`the words ${words} select the file of the test whose name contains them`, async () => {
    assert.deepEqual(await find(words), [file]);
  });
}

Deno.test("names and paths together select the named tests below the paths", async () => {
  assert.deepEqual(await find("a job", "tests/heavy"), ["tests/heavy/three_test.ts"]);
  assert.deepEqual(await find("a job", "a P-256"), ["tests/keys/two_test.ts", "tests/one_test.ts"]);
});

for (
  const [words, reason] of [
    [["a job sleeps"], /^no test's name contains "a job sleeps"; name a file/],
    [["a job runs", "a dog"], /^no test's name contains "a dog"/],
    [
      ["a job fails"],
      /"a job fails"; to run tests of other tasks, .*: tests\/heavy\/three_test.ts$/,
    ],
    [["tests/none_test.ts"], /^no file tests\/none_test.ts$/],
    [["tests/support"], /^no test file is tests\/support or below it/],
  ] as const
) {
  Deno.test(`${words.join(" and ")}: what selects nothing is an error`, async () => {
    await assert.rejects(find(...words), { name: "TaskUsageError", message: reason });
  });
}

Deno.test("several names are one filter, in which their characters stand for themselves", () => {
  assert.deepEqual(selectionArguments({ files: ["a_test.ts"], names: ["a.b", "(c)"] }), [
    "--filter=/a\\.b|\\(c\\)/",
    "a_test.ts",
  ]);
});

Deno.test("a run in which no selected test was found is reported", () => {
  const none = { passed: 0, failed: 0, ignored: [] };
  const selection = { files: ["a_test.ts"], names: ["a.b", "c"] };
  assert.equal(missedSelection(selection, none), 'no test\'s name contains "a.b" or "c"');
  assert.equal(missedSelection(selection, { ...none, failed: 1 }), undefined);
  assert.equal(missedSelection(selection, { ...none, ignored: ["c"] }), undefined);
  assert.equal(missedSelection({ ...selection, names: [] }, none), undefined);
});
