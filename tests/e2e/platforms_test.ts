import { kubectl } from "../../scripts/support/kubectl.ts";
import { assertOverlay, buildKustomization, overlays } from "../support/overlays.ts";

for (const name of Object.keys(overlays)) {
  Deno.test(`the API server accepts each object of the overlay ${name}, with every field`, async () => {
    const base = await buildKustomization("deploy");
    const objects = await buildKustomization(`deploy/overlays/${name}`);
    assertOverlay(name, base, objects);
    const text = objects.map((object) => JSON.stringify(object)).join("\n---\n");
    await kubectl(["apply", "--dry-run=server", "--validate=strict", "-f", "-"], text);
  });
}
