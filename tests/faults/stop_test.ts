import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import type { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import {
  admit,
  assertExactly,
  faultTest,
  Recoveries,
  retried,
  unpublishAll,
} from "./fault_environment.ts";

/** The kubelet's default grace period of a pod. */
const graceMs = 30_000;
const clean = new Set([status.OK, status.UNAVAILABLE, status.CANCELLED]);

for (const isServiceFrozen of [false, true]) {
  const where = isServiceFrozen ? " while the service does not answer" : "";
  faultTest(
    `SIGTERM under load${where}: calls finish or are refused, the sockets go, and the exit is 0 in time`,
    async (environment) => {
      const recoveries = new Recoveries();
      const { service, driver } = await environment.startPrograms();
      const volumes = Array.from(
        { length: 60 },
        (_, index) => admit(environment, `web-${index}`),
      );
      if (isServiceFrozen) service.signal("SIGSTOP");
      const calls = volumes.map((volume) =>
        environment.kubelet.publish(volume).then(() => status.OK, (error: RpcError) => error.code)
      );
      // In the middle of the work: one volume is there, or each waits for its certificate.
      if (isServiceFrozen) await new Promise((resolve) => setTimeout(resolve, 500));
      else await Promise.race(calls);
      const started = performance.now();
      const { code } = await driver.stop("SIGTERM");
      const ms = performance.now() - started;
      if (isServiceFrozen) service.signal("SIGCONT");
      assert.equal(code, 0, driver.tail());
      assert.ok(ms < graceMs / 2, `it took ${ms} ms`);
      for (const code of await Promise.all(calls)) {
        assert.ok(clean.has(code), `a call ended with ${status[code]}`);
      }
      const registration = `${environment.kubelet.registrationDir}/csi.k8s.cert-driver-reg.sock`;
      for (const socket of [`${environment.base}/csi.sock`, registration]) {
        await assert.rejects(Deno.lstat(socket), Deno.errors.NotFound);
      }
      console.log(`    stopped after ${(ms / 1000).toFixed(2)} s`);
      await recoveries.time(async () => {
        await environment.startDriver();
        await Promise.all(
          volumes.map((volume) => retried(() => environment.kubelet.publish(volume))),
        );
      });
      await assertExactly(environment, volumes);
      await unpublishAll(environment, volumes);
      recoveries.report("60 calls were cut off by a stop");
    },
  );
}
