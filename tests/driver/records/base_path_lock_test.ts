import assert from "node:assert/strict";
import { join } from "node:path";
import {
  acquireBasePathLock,
  type BasePathLock,
} from "../../../src/driver/records/base_path_lock.ts";
import { run } from "../mount/mount_workspace.ts";

const signal = new AbortController().signal;

/** Takes a lock that is free. */
async function lockNow(basePath: string): Promise<BasePathLock> {
  const onWaiting = (problem: string) => assert.fail(problem);
  const lock = await acquireBasePathLock(
    basePath,
    { wait: () => Promise.resolve(), onWaiting },
    signal,
  );
  assert.ok(lock);
  return lock;
}

async function withRoot(test: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await test(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("one driver has a base path; the next reports why it waits, and continues when the first releases it", async () => {
  await withRoot(async (root) => {
    const basePath = join(root, "base");
    const first = await lockNow(basePath);
    const reports: string[] = [];
    let waits = 0;
    const second = await acquireBasePathLock(basePath, {
      wait: (ms) => {
        waits += ms;
        if (waits === 25_000) first[Symbol.dispose]();
        return Promise.resolve();
      },
      onWaiting: (problem) => reports.push(problem),
    }, signal);
    assert.ok(second);
    assert.equal(waits, 25_000);
    assert.equal(reports.length, 3, "at once and then every ten seconds");
    assert.match(reports[0] ?? "", /another driver uses CERT_BASE_PATH.*stop it/);
    second[Symbol.dispose]();
    assert.equal((await Deno.stat(basePath)).mode! & 0o7777, 0o700);
    assert.equal((await Deno.stat(join(basePath, ".lock"))).mode! & 0o7777, 0o600);
    assert.equal((await Deno.stat(second.stagingDir)).mode! & 0o7777, 0o700);
  });
});

Deno.test("a driver that is stopped while it waits stops waiting", async () => {
  await withRoot(async (root) => {
    using _first = await lockNow(root);
    const stopping = new AbortController();
    const second = await acquireBasePathLock(root, {
      wait: () => Promise.resolve(stopping.abort()),
      onWaiting: () => {},
    }, stopping.signal);
    assert.equal(second, undefined);
  });
});

Deno.test("a base path that cannot be used is waited for, and the cause is reported", async () => {
  await withRoot(async (root) => {
    const basePath = join(root, "base");
    await Deno.writeTextFile(basePath, "a file in its place");
    const reports: string[] = [];
    const lock = await acquireBasePathLock(basePath, {
      wait: () => Deno.remove(basePath),
      onWaiting: (problem) => reports.push(problem),
    }, signal);
    assert.ok(lock);
    lock[Symbol.dispose]();
    assert.match(reports.join(), /cannot be used \(.*\); the driver continues when it can/);
  });
});

Deno.test("the lock is the flock(2) that other programs see", async () => {
  await withRoot(async (root) => {
    {
      using _lock = await lockNow(root);
      await assert.rejects(run("flock", ["-n", join(root, ".lock"), "true"]));
    }
    await run("flock", ["-n", join(root, ".lock"), "true"]);
  });
});
