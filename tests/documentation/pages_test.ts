import assert from "node:assert/strict";
import { anchors, links, page, pages, root, withoutCode } from "../support/documentation.ts";
import { unclearIn } from "../support/unclear_words.ts";

for (const path of pages()) {
  const text = withoutCode(page(path));

  Deno.test(`every link of ${path} leads to a file and a heading that exist`, async () => {
    for (const link of links(text)) {
      if (/^https?:/.test(link)) continue;
      const [file = "", anchor] = link.split("#");
      const target = file === "" ? new URL(path, root) : new URL(file, new URL(path, root));
      await Deno.stat(target);
      if (anchor === undefined) continue;
      const known = anchors(await Deno.readTextFile(target));
      assert.ok(known.includes(anchor), `${link}: the headings are ${known.join(", ")}`);
    }
  });

  Deno.test(`every file and identifier of the repository that ${path} names exists`, async () => {
    const named = text.matchAll(/`((?:src|tests|scripts|deploy|proto|docs)\/[\w./-]+)`/g);
    for (const [, file = ""] of named) await Deno.stat(new URL(file, root));
    const identifiers = text.matchAll(/`(\w+)`\s(?:in|of)\s\[[^\]]*\]\(([^)#]+\.ts)\)/g);
    for (const [, identifier = "", file = ""] of identifiers) {
      const source = await Deno.readTextFile(new URL(file, new URL(path, root)));
      assert.match(source, new RegExp(`\\b${identifier}\\b`), `${identifier} in ${file}`);
    }
  });

  Deno.test(`${path} starts with its one heading of the first level`, () => {
    assert.match(text, /^# \S/);
    assert.equal(text.match(/^# /gm)?.length, 1);
  });

  Deno.test(`${path} is free of words that are not plain technical English`, () => {
    const prose = text.replace(/`[^`]*`/g, "");
    assert.deepEqual(unclearIn(prose), []);
  });
}

for (const path of pages().filter((path) => path.startsWith("docs/how-to/"))) {
  Deno.test(`${path} says when to use it, what it needs, and how to check and undo the result`, () => {
    const text = withoutCode(page(path));
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    const expected = ["Before you begin", "Check that it worked", "Undo", "What can go wrong"];
    assert.deepEqual(expected.filter((heading) => !headings.includes(heading)), []);
    assert.match(text.split(/^## /m)[0] ?? "", /Follow this page/);
  });
}

Deno.test("docs/README.md lists every page below docs/", () => {
  const listed = links(page("docs/README.md")).map((link) => `docs/${link}`);
  const all = pages().filter((path) => path.startsWith("docs/") && path !== "docs/README.md");
  assert.deepEqual(all.filter((path) => !listed.includes(path)), []);
});

Deno.test("README.md has at most 150 lines, and the commands of the demo and the tests near its top", () => {
  const lines = page("README.md").trimEnd().split("\n");
  assert.ok(lines.length <= 150, `${lines.length} lines`);
  for (const task of ["demo", "test"]) {
    const line = lines.indexOf(`npx --yes deno@2.9.6 task ${task}`);
    assert.ok(line >= 0 && line < 50, task);
  }
});
