import assert from "node:assert/strict";
import { bundle } from "../../scripts/bundle.ts";
import { bundleFlags } from "../../scripts/permissions.ts";

/** In each function the resource is used once or never, which tempts a minifier to inline it. */
const source = `
const resource = (name: string) => ({ name, [Symbol.dispose]: () => console.log("released", name) });
function inCondition() {
  using lock = resource("condition");
  if (lock === undefined) return;
  console.log("held");
}
async function inExpression() {
  using file = await Promise.resolve(resource("expression"));
  await Promise.resolve(file.name);
}
async function unused() {
  await using _resource = { [Symbol.asyncDispose]: async () => console.log("released unused") };
}
function inLoop() {
  for (const name of ["first", "second"]) {
    using lock = resource(name);
    if (lock.name === "first") continue;
  }
}
inCondition();
await inExpression();
await unused();
inLoop();
`;

Deno.test("a value that `using` declares is disposed in a minified bundle as well", async () => {
  const folder = await Deno.makeTempDir({ prefix: "csi-cert-bundle-" });
  try {
    await Deno.writeTextFile(`${folder}/source.ts`, source);
    await bundle(`${folder}/source.ts`, `${folder}/bundle.js`);
    const minified = await Deno.readTextFile(`${folder}/bundle.js`);
    assert.ok(minified.trimEnd().split("\n").length < 3, "the bundle is not minified");
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...bundleFlags, "--no-prompt", `${folder}/bundle.js`],
      stdin: "null",
      stderr: "inherit",
    }).output();
    assert.equal(code, 0);
    assert.equal(
      new TextDecoder().decode(stdout),
      "held\nreleased condition\nreleased expression\nreleased unused\n" +
        "released first\nreleased second\n",
    );
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
      "bundle.js",
      "source.ts",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
