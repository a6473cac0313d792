import assert from "node:assert/strict";
import { statSync } from "node:fs";
import manifest from "../../deno.json" with { type: "json" };
import { temporaryFolder } from "../support/temporary_folder.ts";
import { requiringTest } from "../support/requirement.ts";

const root = new URL("../../", import.meta.url);

// Any ELF file stands in for the compiler's base binary: what comes out cannot run, but it is packed
// and laid out like the image that can.
const elf = ["/bin/true", "/usr/bin/true"].find((path) =>
  statSync(path, { throwIfNoEntry: false })
);

async function output(program: string, args: string[], env = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    env: { NO_COLOR: "1", ...env },
    cwd: root,
    stdin: "null",
  }).output();
  assert.ok(success, `${program}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

interface Layer {
  readonly path: string;
  readonly isExecutable: boolean;
}

/** The image's settings, and the files of its one layer. */
async function readImage(tar: string, folder: string) {
  await Deno.mkdir(folder);
  await output("tar", ["-xf", tar, "-C", folder]);
  const [{ Config, Layers }] = JSON.parse(await Deno.readTextFile(`${folder}/manifest.json`));
  const { config } = JSON.parse(await Deno.readTextFile(`${folder}/${Config}`));
  const listing = await output("tar", ["-tvf", `${folder}/${Layers[0]}`]);
  const files: Layer[] = listing.trim().split("\n").filter((line) => !line.startsWith("d"))
    .map((line) => ({
      path: `/${line.split(" ./")[1]}`,
      isExecutable: line.slice(1, 10).includes("x"),
    }));
  return { config, files };
}

/** What the Containerfile's last stage sets. */
async function containerfile() {
  const text = await Deno.readTextFile(new URL("Containerfile", root));
  const [, version] = /^ARG VERSION=(\S+)$/m.exec(text) ?? [];
  const labels = [...text.matchAll(/(org\.opencontainers\.[a-z.]+)="([^"]*)"/g)]
    .map(([, label, value]) => [label, value === "${VERSION}" ? version : value]);
  const value = (word: string) => new RegExp(`^${word} (.*)$`, "m").exec(text)?.[1];
  return {
    labels: Object.fromEntries(labels),
    user: value("USER"),
    entrypoint: JSON.parse(value("ENTRYPOINT") ?? "[]"),
    ports: value("EXPOSE")?.split(" ").map((port) => `${port}/tcp`),
    env: value("ENV")?.split(" "),
  };
}

requiringTest(
  "the image contains the two programs and their libraries, no shell, numeric users, and labels",
  { isMet: elf !== undefined, reason: "no /bin/true" },
  async () => {
    await using folder = await temporaryFolder();
    const [bundles, tar] = [`${folder.path}/bundles`, `${folder.path}/new/image.tar`];
    const args = ["run", "--quiet", "-A", "scripts/image.ts", "--out", tar];
    const env = { DENORT_BIN: elf, BUNDLE_FOLDER: bundles };
    assert.match(await output(Deno.execPath(), args, env), /^image: .*image\.tar/m);
    // Where another task may be bundling into dist/, the image is made of these.
    const names = (await Array.fromAsync(Deno.readDir(bundles))).map(({ name }) => name);
    assert.deepEqual(names.sort(), ["cert-service.js", "csi-driver.js"]);
    // What a bundle holds is read at each start, whether it runs or not: a library that comes in is noticed.
    for (const [name, most] of [["cert-service.js", 3_500], ["csi-driver.js", 600]] as const) {
      const { size } = await Deno.stat(`${bundles}/${name}`);
      assert.ok(size < most * 1024, `${name} holds ${size} bytes`);
    }

    const { config, files } = await readImage(tar, `${folder.path}/image`);
    const programs = files.filter(({ path, isExecutable }) =>
      isExecutable && !/\/lib(64)?\//.test(path)
    );
    assert.deepEqual(programs.map(({ path }) => path), [
      "/usr/local/bin/cert-service",
      "/usr/local/bin/csi-driver",
    ]);
    for (const { path } of files) assert.doesNotMatch(path, /\/(ba|da|a)?sh$|busybox|deno$/, path);
    assert.match(config.User, /^[1-9][0-9]*:[1-9][0-9]*$/);

    const expected = await containerfile();
    assert.deepEqual(config.Labels, expected.labels);
    assert.equal(config.Labels["org.opencontainers.image.version"], manifest.version);
    assert.equal(config.User, expected.user);
    assert.deepEqual(config.Entrypoint, expected.entrypoint);
    assert.deepEqual(Object.keys(config.ExposedPorts), expected.ports);
    for (const variable of expected.env ?? []) assert.ok(config.Env.includes(variable), variable);
  },
);
