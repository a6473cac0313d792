import assert from "node:assert/strict";
import { CurrentCa } from "../../../src/service/ca/current_ca.ts";
import { parseTrustState } from "../../../src/service/ca/trust_state.ts";
import { CurrentPolicy } from "../../../src/service/issuing/current_policy.ts";
import { MemoryDocument } from "../../../src/service/documents/memory_document.ts";
import { openService } from "../../../src/service/program/compose.ts";
import { readiness } from "../../../src/service/program/readiness.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { settled } from "../../support/settled.ts";
import { policy as base } from "../../support/service_fixture.ts";
import { makeSecret, ScriptedDocument, ScriptedSource, start } from "../ca/rotation_fixture.ts";

Deno.test("readiness states once that the CA is missing", async () => {
  const clock = new FakeClock(start);
  await using scheduler = new Scheduler({ clock });
  await using policy = await CurrentPolicy.open({ base: base(), scheduler, clock });
  const caSource = new ScriptedSource();
  caSource.report({ kind: "absent" });
  await using service = await settled(
    clock,
    openService({
      clock,
      scheduler,
      policy,
      caSource,
      trustDocument: new ScriptedDocument(),
      denialsDocument: new ScriptedDocument(),
      currentCa: new CurrentCa(),
      caRotationDelay: Temporal.Duration.from({ minutes: 10 }),
      clusterDomain: "cluster.local",
      servingName: "cert-service.csi-cert-driver.internal",
    }),
  );
  const parts = { policy, clients: undefined, attestation: undefined, warnings: [] };
  const { ok, detail } = readiness(service, parts);
  assert.equal(ok, false);
  const [missing, inventory, ...others] = detail.split("\n");
  assert.match(missing ?? "", /^the CA does not exist/);
  assert.equal(inventory, "0 certificates in the inventory");
  assert.deepEqual(others, []);
});

Deno.test("a policy that changes before or after the CA is loaded decides how long roots are trusted and pods denied", async () => {
  const clock = new FakeClock(start);
  await using scheduler = new Scheduler({ clock });
  let text = "rules: []";
  const file = { name: "POLICY_FILE /etc/policy", read: () => Promise.resolve(text) };
  await using policy = await CurrentPolicy.open({ base: base(), file, scheduler, clock });
  const grant = async (validity: string) => {
    text = `rules:\n  - namespaces: [shop]\n    maxValidity: ${validity}\n`;
    await clock.advance({ seconds: 10 });
    assert.equal(policy.problem, undefined);
  };
  const [caSource, trustDocument] = [new ScriptedSource(), new ScriptedDocument()];
  const longestValidity = () => {
    const parsed = parseTrustState(trustDocument.text?.data ?? {});
    return parsed.kind === "state" && parsed.state.signing?.longestValidity.total("hours");
  };
  const opening = openService({
    clock,
    scheduler,
    policy,
    caSource,
    trustDocument,
    denialsDocument: new MemoryDocument(),
    currentCa: new CurrentCa(),
    caRotationDelay: Temporal.Duration.from({ minutes: 10 }),
    clusterDomain: "cluster.local",
    servingName: "cert-service.csi-cert-driver.internal",
  });
  await grant("2160h");
  caSource.hold(await makeSecret("A"));
  await using service = await settled(clock, opening);
  assert.equal(longestValidity(), 2160);
  await grant("4320h");
  await clock.until(() => longestValidity() === 4320);

  // Certificates of before a stricter policy are still valid: the denial of their pod lasts as long.
  await grant("720h");
  const lastExpiry = clock.now().add({ hours: 4320, minutes: 5 });
  const { validUntil } = await service.revocation.revoke("pod-1");
  assert.equal(String(validUntil), String(lastExpiry));
  assert.equal(String(service.denials.get("pod-1")?.checkAt), String(lastExpiry));
});
