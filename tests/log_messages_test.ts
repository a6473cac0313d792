/** The log messages that the suites with tasks of their own wait for are those of the programs. */
import assert from "node:assert/strict";

const root = new URL("../", import.meta.url);

async function matchesBelow(folder: string, pattern: RegExp): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await matchesBelow(path, pattern));
    else if (name.endsWith(".ts")) {
      const text = await Deno.readTextFile(new URL(path, root));
      found.push(...[...text.matchAll(pattern)].map(([, match = ""]) => match));
    }
  }
  return found;
}

Deno.test("each log message that a suite with faults or on a cluster waits for is one of the programs", async () => {
  const logged = await matchesBelow("src", /\blogger\.\w+\(\s*"([^"]+)"/g);
  const awaited = /\bmessage\.startsWith\("([^"]+)"\)/g;
  const starts = new Set(
    (await Promise.all(["tests/faults", "tests/e2e", "tests/conformance", "scripts"]
      .map((folder) => matchesBelow(folder, awaited)))).flat(),
  );
  assert(starts.size > 0 && logged.length > 0);
  for (const start of starts) {
    assert(
      logged.some((message) => message.startsWith(start)),
      `no message begins with "${start}"`,
    );
  }
});
