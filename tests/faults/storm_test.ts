import assert from "node:assert/strict";
import { mountsBelow } from "../../scripts/demo/test_environment.ts";
import { admit, faultTest } from "./fault_environment.ts";
import { persistently } from "./persistence.ts";
import { HealthProbe, openFiles, percentiles, residentMemory } from "./observing.ts";

const volumes = 1_000;
/** The memory that a thousand waiting calls may use, in MiB: each has a connection and its buffers. */
const mostGrowth = 400;

faultTest(
  "1,000 volumes published at once on one node are all served, in bounded memory, while health answers",
  async (environment) => {
    const service = await environment.startService();
    const driver = await environment.startDriver();
    const { healthAddress } = await driver.ready();
    await environment.kubelet.register();
    const first = admit(environment, "first");
    await environment.kubelet.publish(first);
    const before = await residentMemory(driver.pid);
    const pods = Array.from(
      { length: volumes },
      (_, index) => admit(environment, `web-${index}`),
    );
    for (const pod of pods) await environment.kubelet.note(pod);
    const started = performance.now();
    const tookMs: number[] = [];
    let files = 0;
    let tries = 0;
    {
      await using health = new HealthProbe(healthAddress);
      await Promise.all(pods.map(async (pod) => {
        const calls = await persistently(() => environment.kubelet.publish(pod));
        tries += calls;
        files = Math.max(files, openFiles(driver.pid));
        tookMs.push(performance.now() - started);
      }));
      const { failures, summary } = await health.stop();
      const { highest } = await residentMemory(driver.pid);
      console.log(
        `    ${volumes} volumes, ${tries} calls in ${
          ((performance.now() - started) / 1000).toFixed(1)
        } s ` +
          `(${percentiles(tookMs)}); ${summary}; the driver's memory from ` +
          `${before.now.toFixed(0)} to at most ${highest.toFixed(0)} MiB, ${files} descriptors; ` +
          `the service's at most ${(await residentMemory(service.pid)).highest.toFixed(0)} MiB`,
      );
      assert.deepEqual(failures, []);
      assert.ok(highest - before.now < mostGrowth, `${highest - before.now} MiB more`);
    }
    assert.equal((await mountsBelow(environment.kubelet.root)).length, volumes + 1);
    await Promise.all(
      [first, ...pods].map((pod) => persistently(() => environment.kubelet.unpublish(pod))),
    );
    assert.deepEqual(await mountsBelow(environment.kubelet.root), []);
  },
);
