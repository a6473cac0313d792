import assert from "node:assert/strict";
import { page, root } from "../support/documentation.ts";
import { assertOverlay, buildKustomization, overlays } from "../support/overlays.ts";
import { requiringTest } from "../support/requirement.ts";

const names = Object.keys(overlays);

/** Whether kubectl is installed; the end-to-end tests, which bring their own, check the same. */
const hasKubectl = await new Deno.Command("kubectl", { args: ["version", "--client"] }).output()
  .then(({ success }) => success, () => false);

Deno.test("the table of overlays has each folder below deploy/overlays, and the documentation installs each", () => {
  const folders = [...Deno.readDirSync(new URL("deploy/overlays", root))].map(({ name }) => name);
  assert.deepEqual(folders.sort(), names);
  const guide = page("docs/how-to/install-on-a-platform.md");
  for (const name of names) {
    assert.ok(guide.includes(`kubectl apply -k deploy/overlays/${name}\n`), name);
  }
});

for (const name of names) {
  requiringTest(
    `the overlay ${name} builds, its paths agree, and it adds what the platform needs`,
    { isMet: hasKubectl, reason: "no kubectl on the PATH" },
    async () => {
      const base = await buildKustomization("deploy");
      assertOverlay(name, base, await buildKustomization(`deploy/overlays/${name}`));
    },
  );
}
