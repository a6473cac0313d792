import assert from "node:assert/strict";
import { fillOnce, missingPackages } from "../../scripts/support/build_cache.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

Deno.test("what is built is kept, and what could not be built is built again", async () => {
  await using folder = await temporaryFolder();
  const cached = `${folder.path}/cached`;
  const fill = async (text: string, problem?: string) =>
    await fillOnce(cached, async (incomplete) => {
      await Deno.writeTextFile(`${incomplete}/built`, text);
      return problem;
    });
  assert.equal(await fill("incomplete", "no compiler"), "no compiler");
  assert.deepEqual(await Array.fromAsync(Deno.readDir(cached)).catch(() => "absent"), "absent");
  assert.equal(await fill("first"), undefined);
  assert.equal(await fill("second"), undefined);
  assert.equal(await Deno.readTextFile(`${cached}/built`), "first");
});

Deno.test("each package whose files are missing is named once", () => {
  const required = { "/absent/a": "one", "/absent/b": "one", "/absent/c": "two", "/": "three" };
  assert.equal(missingPackages(required), "not installed: one two (apt-get install -y one two)");
  assert.equal(missingPackages({ "/": "three" }), undefined);
});
