import assert from "node:assert/strict";
import { SystemCallError } from "../../../src/shared/linux/errno.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { requiringTest } from "../../support/requirement.ts";
import {
  FaultyLibc,
  mounting,
  mountTest,
  never,
  noswap,
  pair,
  Workspace,
} from "./mount_workspace.ts";

const ignore = !canMount;

/** A kernel that does not know noswap, with its swap space. */
function oldKernel(swapArea: string): FaultyLibc {
  const libc = new FaultyLibc();
  libc.swaps += swapArea;
  libc.beforeMount = ({ target, options = "" }) => {
    if (options.includes("noswap")) throw new SystemCallError(`mount ${target}`, "EINVAL");
  };
  return libc;
}

mountTest(
  "an error that a mount with noswap gives by chance fails that volume; none is ever mounted without it",
  async ({ workspace, libc, mounter, target }) => {
    libc.code = "EINVAL";
    libc.callsToFault = 1;
    await assert.rejects(mounter.publish(target, pair(1), never), /EINVAL/);
    assert.deepEqual(workspace.mounts(), []);
    const options: string[] = [];
    libc.beforeMount = (request) => void options.push(request.options ?? "");
    await mounter.publish(target, pair(1), never);
    assert.ok(options[0]?.includes("noswap"));
  },
  noswap,
);

requiringTest(
  "an error of the first mount does not switch noswap off for the volumes that follow",
  canMount ? noswap : mounting,
  async () => {
    await using workspace = new Workspace();
    const libc = new FaultyLibc();
    let failures = 0;
    libc.beforeMount = ({ target, options = "" }) => {
      if (!options.includes("noswap") || failures++ > 0) return;
      throw new SystemCallError(`mount ${target}`, "EINVAL");
    };
    using mounter = await workspace.createMounter({ libc });
    const options: string[] = [];
    libc.afterMount = (request) => void options.push(request.options ?? "");
    await mounter.publish(workspace.target, pair(1), never);
    assert.ok(options[0]?.includes("noswap"));
  },
);

Deno.test({
  name:
    "a kernel without noswap on a machine with swap space is warned of once, and remains a problem",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const libc = oldKernel("/dev/sda2\tpartition\t999420\t0\t-2\n");
    using mounter = await workspace.createMounter({ libc });
    const { target } = workspace;
    for (const number of [1, 2]) {
      await mounter.publish(target, pair(number), never);
      await mounter.unpublish(target);
    }
    const problem = /cannot keep a tmpfs out of swap space \(noswap, Linux 6\.4 or later\)/;
    assert.equal(workspace.warnings.length, 1);
    assert.match(workspace.warnings[0] ?? "", problem);
    assert.match(mounter.swapProblem ?? "", problem);
  },
});

Deno.test({
  name: "a kernel without noswap is no problem without swap space, until there is some",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const libc = oldKernel("");
    using mounter = await workspace.createMounter({ libc });
    assert.deepEqual([workspace.warnings, mounter.swapProblem], [[], undefined]);
    libc.swaps += "/swapfile\tfile\t999420\t0\t-2\n";
    assert.notEqual(mounter.swapProblem, undefined);
  },
});

mountTest(
  "a kernel with noswap keeps keys out of swap space, whatever there is of it",
  ({ libc, mounter }) => {
    libc.swaps += "/swapfile\tfile\t999420\t0\t-2\n";
    assert.equal(mounter.swapProblem, undefined);
  },
  noswap,
);
