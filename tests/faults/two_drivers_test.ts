import assert from "node:assert/strict";
import {
  admit,
  assertExactly,
  faultTest,
  readiness,
  Recoveries,
  unpublishAll,
  wholePair,
} from "./fault_environment.ts";

const health = "127.0.0.1:19809";

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  faultTest(
    `a second driver on the node waits, harms nothing, and takes over at the first one's ${signal}`,
    async (environment) => {
      const recoveries = new Recoveries();
      const { driver: first } = await environment.startPrograms();
      const volume = admit(environment);
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
      const another = admit(environment, "web-1");
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
      await unpublishAll(environment, [volume, another]);
      recoveries.report(`the first driver ended by ${signal}`);
    },
  );
}

faultTest(
  "a waiting driver that is stopped ends with 0 and leaves the sockets of the first alone",
  async (environment) => {
    await environment.startService();
    await environment.startDriver();
    const second = environment.launchDriver();
    await second.logged(({ message }) => message.startsWith("waiting"));
    assert.equal((await second.stop("SIGTERM")).code, 0);
    await environment.kubelet.register();
    const volume = admit(environment);
    await environment.kubelet.publish(volume);
    await assertExactly(environment, [volume]);
  },
);
