import assert from "node:assert/strict";
import {
  assertExactly,
  ignore,
  openStage,
  readiness,
  Recoveries,
  wholePair,
} from "./fault_stage.ts";

const health = "127.0.0.1:19809";

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test({
    name:
      `a second driver on the node waits, harms nothing, and takes over at the first one's ${signal}`,
    ignore,
    async fn() {
      await using stage = await openStage();
      const recoveries = new Recoveries();
      await stage.startService();
      const first = await stage.startDriver();
      await stage.kubelet.register();
      const volume = stage.kubelet.admit({ name: "web-0", namespace: "shop" });
      await stage.kubelet.publish(volume);
      const { serialNumber } = await wholePair(volume);
      const second = stage.launchDriver({ HEALTH_ADDR: health });
      const { message } = await second.logged(({ message }) => message.startsWith("waiting"));
      assert.match(message, /another driver uses CERT_BASE_PATH/);
      const { status, text } = await readiness(health);
      assert.equal(status, 503);
      assert.match(text, /another driver uses CERT_BASE_PATH/);
      // The first one serves as if it were alone.
      await stage.kubelet.register();
      const another = stage.kubelet.admit({ name: "web-1", namespace: "shop" });
      await stage.kubelet.publish(another);
      await recoveries.time(async () => {
        await first.stop(signal);
        await second.ready();
      });
      assert.equal((await readiness(health)).status, 200);
      await stage.kubelet.register();
      await stage.kubelet.publish(volume);
      assert.equal((await wholePair(volume)).serialNumber, serialNumber);
      await assertExactly(stage, [volume, another]);
      for (const each of [volume, another]) await stage.kubelet.unpublish(each);
      await assertExactly(stage, []);
      recoveries.tell(`the first driver ended by ${signal}`);
    },
  });
}

Deno.test({
  name: "a waiting driver that is stopped ends with 0 and leaves the sockets of the first alone",
  ignore,
  async fn() {
    await using stage = await openStage();
    await stage.startService();
    await stage.startDriver();
    const second = stage.launchDriver();
    await second.logged(({ message }) => message.startsWith("waiting"));
    assert.equal((await second.stop("SIGTERM")).code, 0);
    await stage.kubelet.register();
    const volume = stage.kubelet.admit({ name: "web-0", namespace: "shop" });
    await stage.kubelet.publish(volume);
    await assertExactly(stage, [volume]);
  },
});
