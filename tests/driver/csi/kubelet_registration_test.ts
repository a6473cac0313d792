import assert from "node:assert/strict";
import { KubeletRegistration } from "../../../src/driver/csi/kubelet_registration.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { captureLogs } from "../../support/captured_logs.ts";

const problem = "the kubelet has not registered this driver, and does not call it: " +
  "REGISTRATION_DIR /registration has to be the kubelet's plugins_registry";

function open() {
  const clock = new FakeClock();
  return { clock, registration: new KubeletRegistration(clock, "/registration") };
}

Deno.test("a driver that the kubelet has not registered after a minute is warned of once, until it is registered", async () => {
  const { clock, registration } = open();
  await using logs = await captureLogs(["csi-driver"]);
  registration.expect();
  await clock.advance({ seconds: 59 });
  assert.equal(registration.problem, undefined);
  await clock.advance({ minutes: 5 });
  assert.equal(registration.problem, problem);
  const warned = logs.records.map(({ level, properties }) => [level, properties.problem]);
  assert.deepEqual(warned, [["warning", problem]]);
  registration.report(undefined);
  assert.equal(registration.problem, undefined);
});

Deno.test("a driver that is registered in time is not warned of", async () => {
  const { clock, registration } = open();
  registration.expect();
  registration.report(undefined);
  assert.equal(clock.timers, 0);
  await clock.advance({ minutes: 5 });
  assert.equal(registration.problem, undefined);
});

Deno.test("a refused registration remains a problem until the kubelet accepts the driver", () => {
  const { clock, registration } = open();
  registration.expect();
  registration.report("no such version");
  assert.equal(clock.timers, 0);
  assert.equal(registration.problem, "the kubelet refused the registration: no such version");
  registration.report(undefined);
  assert.equal(registration.problem, undefined);
});
