import assert from "node:assert/strict";
import { billOfMaterials } from "../../scripts/sbom.ts";

interface Bill {
  readonly components: readonly { readonly name: string; readonly version: string }[];
}

Deno.test("the bill of materials holds what ships, each once, and no tool of ours", async () => {
  const { components } = await billOfMaterials() as Bill;
  const ids = components.map(({ name, version }) => `${name}@${version}`);
  assert.equal(new Set(ids).size, ids.length);
  const names = new Set(components.map(({ name }) => name));
  for (const shipped of ["deno", "@grpc/grpc-js", "@peculiar/x509", "@kubernetes/client-node"]) {
    assert.ok(names.has(shipped), shipped);
  }
  for (const tool of ["esbuild", "fast-check", "@peculiar/webcrypto"]) {
    assert.equal(names.has(tool), false, tool);
  }
});
