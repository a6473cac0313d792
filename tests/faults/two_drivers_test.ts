import assert from "node:assert/strict";
import {
  assertExactly,
  ignore,
  openEnvironment,
  readiness,
  Recoveries,
  wholePair,
} from "./fault_environment.ts";

const health = "127.0.0.1:19809";

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test({
    name:
      `a second driver on the node waits, harms nothing, and takes over at the first one's ${signal}`,
    ignore,
    async fn() {
      await using environment = await openEnvironment();
      const recoveries = new Recoveries();
      await environment.startService();
      const first = await environment.startDriver();
      await environment.kubelet.register();
      const volume = environment.kubelet.admit({ name: "web-0", namespace: "shop" });
      await environment.kubelet.publish(volume);
      const { serialNumber } = await wholePair(volume);
      const second = environment.launchDriver({ HEALTH_ADDR: health });
      const { message } = await second.logged(({ message }) => message.startsWith("waiting"));
      assert.match(message, /another driver uses CERT_BASE_PATH/);
      const { status, text } = await readiness(health);
      assert.equal(status, 503);
      assert.match(text, /another driver uses CERT_BASE_PATH/);
      // The first one serves as if it were alone.
      await environment.kubelet.register();
      const another = environment.kubelet.admit({ name: "web-1", namespace: "shop" });
      await environment.kubelet.publish(another);
      await recoveries.time(async () => {
        await first.stop(signal);
        await second.ready();
      });
      assert.equal((await readiness(health)).status, 200);
      await environment.kubelet.register();
      await environment.kubelet.publish(volume);
      assert.equal((await wholePair(volume)).serialNumber, serialNumber);
      await assertExactly(environment, [volume, another]);
      for (const each of [volume, another]) await environment.kubelet.unpublish(each);
      await assertExactly(environment, []);
      recoveries.report(`the first driver ended by ${signal}`);
    },
  });
}

Deno.test({
  name: "a waiting driver that is stopped ends with 0 and leaves the sockets of the first alone",
  ignore,
  async fn() {
    await using environment = await openEnvironment();
    await environment.startService();
    await environment.startDriver();
    const second = environment.launchDriver();
    await second.logged(({ message }) => message.startsWith("waiting"));
    assert.equal((await second.stop("SIGTERM")).code, 0);
    await environment.kubelet.register();
    const volume = environment.kubelet.admit({ name: "web-0", namespace: "shop" });
    await environment.kubelet.publish(volume);
    await assertExactly(environment, [volume]);
  },
});
