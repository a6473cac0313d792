import assert from "node:assert/strict";
import { billOfMaterials } from "../../scripts/sbom.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

interface Bill {
  readonly components: readonly { readonly name: string; readonly version: string }[];
}

Deno.test("the bill of materials lists what ships, each once, and nothing else", async () => {
  const { components } = await billOfMaterials() as Bill;
  const ids = components.map(({ name, version }) => `${name}@${version}`);
  assert.equal(new Set(ids).size, ids.length);
  const names = new Set(components.map(({ name }) => name));
  for (const shipped of ["deno", "@grpc/grpc-js", "@peculiar/x509", "@kubernetes/client-node"]) {
    assert.ok(names.has(shipped), shipped);
  }
  const leftOut = ["@grpc/proto-loader", "protobufjs", "yargs"];
  for (const other of ["esbuild", "fast-check", "@peculiar/webcrypto", ...leftOut]) {
    assert.equal(names.has(other), false, other);
  }
});

Deno.test("the script writes the bill to the given file and makes its folder", async () => {
  await using folder = await temporaryFolder();
  const out = `${folder.path}/new/sbom.json`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", "scripts/sbom.ts", "--out", out],
    cwd: new URL("../../", import.meta.url),
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const written = JSON.parse(await Deno.readTextFile(out));
  assert.equal(written.bomFormat, "CycloneDX");
  assert.deepEqual(written, await billOfMaterials());
});
