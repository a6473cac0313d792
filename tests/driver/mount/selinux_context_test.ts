import assert from "node:assert/strict";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { selectMounter } from "../../../src/driver/mount/mounter_selection.ts";
import { Disk } from "../../../src/shared/linux/disk.ts";
import {
  defaultSelinuxContext,
  parseSelinuxContext,
  type SelinuxContext,
} from "../../../src/driver/mount/selinux_context.ts";
import { SystemCallError } from "../../../src/shared/linux/errno.ts";
import type { MountRequest } from "../../../src/shared/linux/libc.ts";
import { FaultyLibc, never, pair, Workspace } from "./mount_workspace.ts";

const ignore = !canMount;
const byDefault: SelinuxContext = { context: defaultSelinuxContext, isRequired: false };

/** A kernel whose SELinux policy knows one context, or none. */
class SelinuxLibc extends FaultyLibc {
  /** The contexts of the volumes that were mounted; the staging area has other options. */
  readonly contexts: (string | undefined)[] = [];
  readonly #known: string | undefined;
  readonly #code: string;

  constructor(known: string | undefined, code = "EINVAL") {
    super();
    this.#known = known;
    this.#code = code;
    this.wrapTable = (read) => read().replaceAll(/( - tmpfs \S+ \S+)$/gm, "$1,seclabel");
  }

  override mount(request: MountRequest): void {
    const [option = "", context] = /,context="([^"]*)"/.exec(request.options ?? "") ?? [];
    if (context !== undefined && context !== this.#known) {
      throw new SystemCallError(`mount ${request.target}`, this.#code);
    }
    const { options = "", ...rest } = request;
    super.mount({ ...rest, options: options.replace(option, "") });
    if (options.startsWith("mode=0755")) this.contexts.push(context);
  }
}

/** Publishes one volume; returns the contexts of all mounts of volumes, the probes' first, and the warnings. */
async function publish(libc: SelinuxLibc, selinuxContext: SelinuxContext | undefined) {
  await using workspace = new Workspace();
  const { stagingDir } = workspace;
  const warnings: string[] = [];
  using mounter = await selectMounter({
    disk: new Disk(),
    stagingDir,
    allowKeysOnDisk: false,
    selinuxContext,
    onWarning: (message) => warnings.push(message),
    openLibc: () => libc,
  });
  assert.equal(mounter.kind, "tmpfs");
  await mounter.publish(workspace.target, pair(1), never);
  await mounter.unpublish(workspace.target);
  return { contexts: libc.contexts, warnings };
}

Deno.test({
  name: "where SELinux is enabled, a volume is mounted with the context",
  ignore,
  async fn() {
    const libc = new SelinuxLibc(defaultSelinuxContext);
    assert.deepEqual(await publish(libc, byDefault), {
      contexts: [undefined, defaultSelinuxContext, defaultSelinuxContext],
      warnings: [],
    });
  },
});

Deno.test({
  name:
    "where SELinux is not enabled or SELINUX_CONTEXT is off, a volume is mounted without a context",
  ignore,
  async fn() {
    const disabled = new SelinuxLibc(undefined);
    disabled.wrapTable = (read) => read();
    const required = { context: "system_u:object_r:data_t:s0", isRequired: true };
    const expected = { contexts: [undefined, undefined], warnings: [] };
    assert.deepEqual(await publish(disabled, required), expected);
    assert.deepEqual(await publish(new SelinuxLibc(defaultSelinuxContext), undefined), expected);
  },
});

for (const code of ["EINVAL", "EACCES"]) {
  Deno.test({
    name: `the default context is left out with a warning where mounting with it ends with ${code}`,
    ignore,
    async fn() {
      const outcome = await publish(new SelinuxLibc(undefined, code), byDefault);
      assert.deepEqual(outcome.contexts, [undefined, undefined]);
      const [warning = "", ...others] = outcome.warnings;
      assert.deepEqual(others, []);
      assert.match(
        warning,
        /^cannot mount with the SELinux context system_u:object_r:container_fil/,
      );
      assert.match(warning, new RegExp(`${code}.*readOnly: true.*SELINUX_CONTEXT.*off$`));
    },
  });

  Deno.test({
    name: `the driver does not start where mounting with a configured context ends with ${code}`,
    ignore,
    async fn() {
      const configured = { context: "system_u:object_r:mistaken_t:s0", isRequired: true };
      await assert.rejects(
        publish(new SelinuxLibc(defaultSelinuxContext, code), configured),
        new RegExp(
          `^Error: cannot mount with the SELinux context .*mistaken_t.*${code}.*or to off$`,
        ),
      );
    },
  });
}

Deno.test("a context has a user, a role, a type and mostly a level, and no character that ends the mount option", () => {
  for (
    const context of [defaultSelinuxContext, "u:r:t", "u:r:t:s0:c1,c2", "u:r:t:s0-s0:c0.c1023"]
  ) {
    assert.equal(parseSelinuxContext(context), context);
  }
  for (
    const text of ["", "container_file_t", "u:r", 'u:r:t:s0",size=1g,context="u:r:t', "u:r:t s0"]
  ) {
    assert.equal(parseSelinuxContext(text), undefined, text);
  }
});
