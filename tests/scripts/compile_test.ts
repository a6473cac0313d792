import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { statSync } from "node:fs";
import { engineFlags } from "../../scripts/permissions.ts";
import { requiringTest } from "../support/requirement.ts";

const root = new URL("../../", import.meta.url);

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function compile(args: string[], env: Record<string, string>): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "scripts/compile.ts", ...args],
    cwd: root,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, stdout: out ?? "", stderr: err ?? "" };
}

async function inTemporaryFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "csi-cert-compile-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

// Any ELF file stands in for the base binary: what comes out cannot run, but all of it was packed.
const elf = ["/bin/true", "/usr/bin/true"].find((path) =>
  statSync(path, { throwIfNoEntry: false })
);

requiringTest(
  "both programs are packed with a base binary given by DENORT_BIN",
  { isMet: elf !== undefined, reason: "no /bin/true" },
  () =>
    inTemporaryFolder(async (folder) => {
      const { code, stdout, stderr } = await compile(["--out", folder], { DENORT_BIN: elf ?? "" });
      assert.equal(code, 0, stderr);
      for (const name of ["csi-driver", "cert-service"] as const) {
        assert.match(stdout, new RegExp(`^compile: ${folder}/${name} \\d+\\.\\d MiB$`, "m"));
        const { size, mode } = await Deno.stat(`${folder}/${name}`);
        const bundled = await Deno.stat(new URL(`dist/${name}.js`, root));
        assert.ok(size > bundled.size, `${name} holds ${size} bytes, its bundle ${bundled.size}`);
        // Without the whole node_modules, which would be tens of megabytes.
        assert.ok(size < bundled.size + 2 ** 20, `${name} holds ${size} bytes`);
        assert.equal((mode ?? 0) & 0o111, 0o111);
        const packed = Buffer.from(await Deno.readFile(`${folder}/${name}`));
        for (const { flag } of engineFlags[name]) assert.ok(packed.includes(`"${flag}"`), flag);
      }
    }),
);

Deno.test("without a base binary, compile reports what is missing and what to do", () =>
  inTemporaryFolder(async (folder) => {
    const missing = `${folder}/no-such-denort`;
    const { code, stderr } = await compile(["--out", folder], { DENORT_BIN: missing });
    assert.equal(code, 1);
    assert.match(stderr, /base binary/);
    assert.match(stderr, new RegExp(`DENORT_BIN=${missing} cannot be used`));
    assert.match(stderr, new RegExp(`of Deno ${Deno.version.deno}`));
  }));
