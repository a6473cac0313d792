import assert from "node:assert/strict";
import { unclearIn } from "./support/unclear_words.ts";

const root = new URL("../", import.meta.url);

/** Files that contain the words themselves or the name of an account, and generated code. */
const exempt: ReadonlySet<string> = new Set([
  "scripts/image/root.ts",
  "src/shared/gen",
  "tests/style_test.ts",
  "tests/support/unclear_words.ts",
]);

async function textFilesBelow(path: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(path, root))) {
    const below = `${path}/${name}`;
    if (exempt.has(below)) continue;
    if (isDirectory) found.push(...await textFilesBelow(below));
    else if (/\.(?:ts|go|sh|yaml|proto)$|^run$/.test(name)) found.push(below);
  }
  return found.sort();
}

for (const folder of ["src", "scripts", "tests", "deploy", "proto", ".ci"]) {
  Deno.test(`names, comments and messages in ${folder} are plain technical English`, async () => {
    const problems: string[] = [];
    for (const path of await textFilesBelow(folder)) {
      const lines = (await Deno.readTextFile(new URL(path, root))).split("\n");
      for (const [index, line] of lines.entries()) {
        for (const word of unclearIn(line)) problems.push(`${path}:${index + 1}: ${word}`);
      }
    }
    assert.deepEqual(problems, []);
  });
}

for (
  const [text, expected] of [
    ["// Told of each outcome, which nobody mends.", ["Told", "nobody", "mends"]],
    ["const wantedBytes = octets_of(name);", ["wanted", "octets"]],
    ["the octet string of a stand, unwantedly retold", []],
  ] as const
) {
  Deno.test(`"${text}" has ${expected.length} unclear words`, () => {
    assert.deepEqual(unclearIn(text), expected);
  });
}
