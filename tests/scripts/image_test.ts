import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { parseAllDocuments } from "yaml";
import { type ImageConfig, writeImage } from "../../scripts/image/archive.ts";

const config: ImageConfig = { entrypoint: ["/bin/program"], user: "65532:65532" };

async function inTemporaryFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "csi-cert-image-test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A root file system of one program, written as an image and unpacked again. */
async function unpacked(folder: string): Promise<string> {
  await Deno.mkdir(`${folder}/root/bin`, { recursive: true });
  await Deno.writeTextFile(`${folder}/root/bin/program`, "a program", { mode: 0o755 });
  await writeImage({ name: "test:1", root: `${folder}/root`, config }, `${folder}/image.tar`);
  await Deno.mkdir(`${folder}/image`);
  await tar("-xf", `${folder}/image.tar`, "-C", `${folder}/image`);
  return `${folder}/image`;
}

async function tar(...args: string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command("tar", { args }).output();
  assert.ok(success, args.join(" "));
  return new TextDecoder().decode(stdout);
}

async function json(path: string) {
  return JSON.parse(await Deno.readTextFile(path));
}

Deno.test("each part of an image has the digest and size that name it", () =>
  inTemporaryFolder(async (folder) => {
    const image = await unpacked(folder);
    const check = async ({ digest, size }: { digest: string; size: number }) => {
      const path = `${image}/blobs/${digest.replace(":", "/")}`;
      const bytes = await Deno.readFile(path);
      assert.equal(bytes.length, size);
      assert.equal(`sha256:${createHash("sha256").update(bytes).digest("hex")}`, digest);
      return path;
    };
    const { manifests } = await json(`${image}/index.json`);
    const manifest = await json(await check(manifests[0]));
    const settings = await json(await check(manifest.config));
    const layer = await check(manifest.layers[0]);
    assert.deepEqual(settings.rootfs.diff_ids, [manifest.layers[0].digest]);
    assert.deepEqual(settings.config.Entrypoint, config.entrypoint);
    assert.equal(settings.config.User, config.user);
    assert.match(await tar("-tvf", layer), /-rwxr-xr-x 0\/0 +9 .* \.\/bin\/program/);
    // What `docker load` of old reads.
    const [{ Config, RepoTags, Layers }] = await json(`${image}/manifest.json`);
    assert.deepEqual(RepoTags, ["test:1"]);
    for (const path of [Config, ...Layers]) await Deno.stat(`${image}/${path}`);
  }));

Deno.test("the same files make the same image, whenever they were written", () =>
  inTemporaryFolder(async (folder) => {
    await unpacked(folder);
    await Deno.utime(`${folder}/root/bin/program`, 1, 1);
    await writeImage({ name: "test:1", root: `${folder}/root`, config }, `${folder}/again.tar`);
    const [first, second] = await Promise.all(
      ["image.tar", "again.tar"].map((name) => Deno.readFile(`${folder}/${name}`)),
    );
    assert.ok(Buffer.from(first ?? []).equals(second ?? new Uint8Array()));
  }));

Deno.test("the Containerfile ships what the manifest starts, with its user and its ports", async () => {
  const read = (path: string) => Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
  const text = await read("Containerfile");
  const objects = parseAllDocuments(await read("deploy/base/csi-driver.yaml"))
    .map((document) => document.toJS());
  const pods = objects.flatMap(({ spec }) => spec?.template?.spec ?? []);
  assert.equal(pods.length, 2);
  const [, sources = "", target] = /^COPY --from=build .*?((?: \/out\/\S+)+) (\S+)$/m.exec(text) ??
    [];
  const shipped = sources.trim().split(" ").map((path) => path.replace("/out/", target ?? ""));
  for (const { containers, securityContext } of pods) {
    assert.ok(shipped.includes(containers[0].command[0]), containers[0].command[0]);
    if (securityContext === undefined) continue;
    const { runAsUser, runAsGroup } = securityContext;
    assert.ok(text.includes(`\nUSER ${runAsUser}:${runAsGroup}\n`));
  }
  const exposed = /^EXPOSE (.*)$/m.exec(text)?.[1]?.split(" ").map(Number);
  const served = pods.flatMap(({ containers }) => containers[0].ports)
    .map(({ containerPort }) => containerPort);
  assert.deepEqual(exposed, [...new Set(served)]);
  assert.doesNotMatch(text, /:latest/);
});

Deno.test("every part of Kubernetes that the tests build is of the version that they pin", async () => {
  const path = new URL("../e2e/kubernetes/go.mod", import.meta.url);
  const text = await Deno.readTextFile(path);
  const [, patch] = /^(?:require )?\s*k8s\.io\/kubernetes v1\.(\d+\.\d+)/m.exec(text) ?? [];
  const replaced = [...text.matchAll(/^\t(k8s\.io\/\S+) => (\S+) v0\.(\S+)$/gm)];
  assert.ok(replaced.length > 25);
  for (const [, name, by, version] of replaced) {
    assert.equal(by, name);
    assert.equal(version, patch, `${name}`);
  }
});
