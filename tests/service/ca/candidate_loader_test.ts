import assert from "node:assert/strict";
import { CandidateLoader } from "../../../src/service/ca/candidate_loader.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { forge, now } from "../../support/certificate_forge.ts";

Deno.test("a CA's warnings are logged once, also where it is loaded again or was not valid at first", async () => {
  await using logs = await captureLogs(["cert-service"]);
  const clock = new FakeClock(now.subtract({ minutes: 1 }));
  const loader = new CandidateLoader({ clock });
  const { certificatePem, privateKeyPem } = await forge({ notBefore: now });
  const content = {
    certificatePem,
    privateKeyPem,
    furtherAnchorsPem: undefined,
    compromised: false,
  };
  const warnings = () => logs.records.filter(({ level }) => level === "warning").length;
  assert.equal(await loader.load(content, undefined), undefined);
  assert.match(loader.rejectionReason ?? "", /is not valid before/);
  assert.equal(warnings(), 0);
  await clock.advance({ minutes: 1 });
  const loaded = await loader.load(content, undefined);
  assert.match(loaded?.warnings.join() ?? "", /^[^,]* has no subjectKeyIdentifier/);
  assert.equal(warnings(), 1);
  await loader.load(content, undefined);
  assert.equal(warnings(), 1);
  await loader.load({ ...content }, undefined);
  assert.equal(warnings(), 2);
});
