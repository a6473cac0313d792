/**
 * The driver's volumes on a kernel that enforces SELinux. These tests run as one bundle in the
 * virtual machine of `deno task selinux`, as a privileged container; see scripts/selinux.ts.
 */
import assert from "node:assert/strict";
import { Program } from "../../scripts/support/programs.ts";
import type { Mounter } from "../../src/driver/volume/mounter.ts";
import {
  defaultSelinuxContext,
  type SelinuxContext,
} from "../../src/driver/mount/selinux_context.ts";
import { never, pair, Workspace } from "../driver/mount/mount_workspace.ts";

/** The contexts that a container runtime gives a container and its files: the categories are its own. */
const container = "system_u:system_r:container_t:s0:c1,c2";
const filesOfContainer = "system_u:object_r:container_file_t:s0:c1,c2";
const filesOfAnother = "system_u:object_r:container_file_t:s0:c3,c4";

/** A context of which the policy does not have the type. */
const mistakenContext = "system_u:object_r:mistaken_t:s0";

const byDefault = { context: defaultSelinuxContext, isRequired: false };

interface Parts {
  readonly mounter: Mounter;
  readonly target: string;
  readonly workspace: Workspace;
}

/** Publishes a volume with this context, and removes it after the test. */
async function withVolume(
  selinuxContext: SelinuxContext | undefined,
  test: (parts: Parts) => Promise<void>,
): Promise<void> {
  await using workspace = new Workspace();
  const { target } = workspace;
  using mounter = await workspace.createMounter({ selinuxContext });
  await mounter.publish(target, pair(1), never);
  await test({ mounter, target, workspace });
  await mounter.unpublish(target);
  assert.deepEqual(workspace.mounts(), []);
}

async function run(command: string, ...args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  const decoder = new TextDecoder();
  return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr).trim() };
}

/** Runs a command as a process of an ordinary container. */
async function runInContainer(...command: string[]) {
  const script = 'printf %s "$0" > /proc/self/attr/exec && exec "$@"';
  return await run("/bin/sh", "-c", script, container, ...command);
}

async function assertReadable(target: string, text: string): Promise<void> {
  for (const name of ["tls.crt", "tls.key"]) {
    const { success, stdout, stderr } = await runInContainer("cat", `${target}/${name}`);
    assert.ok(success, stderr);
    assert.equal(stdout, text);
  }
}

async function assertDenied(target: string): Promise<void> {
  const { success, stderr } = await runInContainer("cat", `${target}/tls.crt`);
  assert.ok(!success);
  assert.match(stderr, /Permission denied$/);
}

/** Whether the kubelet asks the runtime to relabel the volume, and how the runtime's attempt ends. */
async function relabel(path: string): Promise<{ isRequested: boolean; error?: string }> {
  const { success, stdout, stderr } = await run("/usr/bin/relabel", path, filesOfContainer);
  assert.ok(success, stderr);
  return JSON.parse(stdout);
}

Deno.test("SELinux is enforced, and containers have the context of a runtime", async () => {
  const ownContext = await Deno.readTextFile("/proc/self/attr/current");
  assert.match(ownContext, /^system_u:system_r:unconfined_t:s0\b/);
  assert.equal(await Deno.readTextFile("/sys/fs/selinux/enforce"), "1");
  const { stdout } = await runInContainer("cat", "/proc/self/attr/current");
  assert.equal(stdout.replaceAll("\0", ""), container);
});

Deno.test("a container reads a volume with the default context, before and after a renewal", async () => {
  await withVolume(byDefault, async ({ mounter, target, workspace }) => {
    const { superOptions = [] } = workspace.mountAt(target) ?? {};
    assert.ok(superOptions.includes(`context=${defaultSelinuxContext}`), superOptions.join());
    await assertReadable(target, "pair 1");
    await mounter.replace(target, pair(2));
    await assertReadable(target, "pair 2");
    assert.deepEqual(workspace.warnings, []);
  });
});

Deno.test("the kubelet does not have a volume with a context relabelled", async () => {
  await withVolume(byDefault, async ({ target, workspace }) => {
    assert.ok(!workspace.mountAt(target)?.superOptions.includes("seclabel"));
    const { isRequested } = await relabel(target);
    assert.ok(!isRequested);
  });
});

Deno.test("without a context the kubelet has the volume relabelled, the runtime fails, and a container cannot read it", async () => {
  await withVolume(undefined, async ({ target, workspace }) => {
    assert.ok(workspace.mountAt(target)?.superOptions.includes("seclabel"));
    const { isRequested, error = "" } = await relabel(target);
    assert.ok(isRequested);
    assert.match(error, /read-only file system$/);
    await assertDenied(target);
  });
});

Deno.test("a configured context is used: a container with other categories cannot read the volume", async () => {
  await withVolume({ context: filesOfContainer, isRequired: true }, async ({ target }) => {
    await assertReadable(target, "pair 1");
  });
  await withVolume({ context: filesOfAnother, isRequired: true }, async ({ target }) => {
    await assertDenied(target);
  });
});

Deno.test("where the policy does not have the default context, a volume has none, and a warning states the error", async () => {
  await withVolume(
    { context: mistakenContext, isRequired: false },
    async ({ target, workspace }) => {
      assert.ok(workspace.mountAt(target)?.superOptions.includes("seclabel"));
      const [warning = "", ...others] = workspace.warnings;
      assert.match(warning, /^cannot mount with the SELinux context .*: .*EINVAL.*readOnly: true/);
      assert.deepEqual(others, []);
      await assertDenied(target);
    },
  );
});

Deno.test("the shipped driver starts with the default context and ends with an error that names one which the policy does not have", async () => {
  await using workspace = new Workspace();
  const env = {
    CSI_ENDPOINT: `unix://${workspace.root}/csi.sock`,
    CERT_BASE_PATH: `${workspace.root}/records`,
    REGISTRATION_DIR: "",
    AUTHENTICATION: "none",
    HEALTH_ADDR: "127.0.0.1:0",
    CERT_SERVICE_CA_FILE: "",
  };
  await using failing = new Program("csi-driver", "bundle", {
    ...env,
    SELINUX_CONTEXT: mistakenContext,
  });
  assert.equal((await failing.ended()).code, 1, failing.tail());
  const { message } = await failing.logged(({ level }) => level === "fatal");
  assert.match(
    message,
    /cannot mount with the SELinux context system_u:object_r:mistaken_t:s0: .*EINVAL.*SELINUX_CONTEXT/,
  );
  await using driver = new Program("csi-driver", "bundle", env);
  await driver.ready();
  assert.doesNotMatch(driver.output, /SELinux/);
  assert.equal((await driver.stop()).code, 0, driver.tail());
});
