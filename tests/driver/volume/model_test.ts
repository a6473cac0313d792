import fc from "fast-check";
import { createSelfSignedCa } from "../../../src/service/x509/self_signed_ca.ts";
import { decodePem } from "../../../src/shared/crypto/pem.ts";
import { runs } from "../../support/runs.ts";
import * as commands from "./model_commands.ts";
import { ModelledNode } from "./modelled_node.ts";
import { emptyModel } from "./volume_model.ts";

const volumes = 2;
const volume = fc.nat(volumes - 1);
const minutes = fc.constantFrom(1, 5, 9, 12, 40).map((minutes) => minutes * 60_000);
const steps = [-86_400_000, -3_600_000, -600_000, 600_000, 3_600_000, 86_400_000];

async function anchor(name: string): Promise<Uint8Array> {
  const { certificatePem } = await createSelfSignedCa({
    algorithm: "ecdsa-p256",
    commonName: name,
    notBefore: Temporal.Instant.from("2025-01-01T00:00:00Z"),
    notAfter: Temporal.Instant.from("2045-01-01T00:00:00Z"),
  });
  return decodePem("CERTIFICATE", certificatePem)[0]!;
}

function anyCommand(anchors: readonly Uint8Array[]) {
  const { publish, pass, service } = commands;
  const lifetime = fc.constantFrom(...commands.lifetimes);
  return [
    fc.tuple(volume, lifetime, fc.boolean()).map((args) => publish(...args)),
    fc.tuple(volume, lifetime, fc.boolean()).map((args) => publish(...args)),
    minutes.map(pass),
    minutes.map(pass),
    fc.constantFrom(1_000, 20_000).map(pass),
    fc.constantFrom("up", "up", "away", "denying", "throttling", "silent").map((state) =>
      service(state as never)
    ),
    volume.map(commands.publishOtherwise),
    volume.map(commands.publishCancelled),
    volume.map(commands.publishTwiceAtOnce),
    volume.map(commands.unpublish),
    volume.map(commands.unpublishMeanwhile),
    fc.constant(commands.restart()),
    volume.map(commands.podDeletedMeanwhile),
    fc.tuple(volume, fc.constantFrom(...commands.damages)).map((args) => commands.damage(...args)),
    fc.tuple(volume, fc.constantFrom("truncated", "removed")).map(([at, how]) =>
      commands.damageRecord(at, how as never)
    ),
    fc.constantFrom(...steps).map(commands.stepClock),
    fc.tuple(fc.nat(2), fc.option(volume, { nil: undefined })).map(([count, during]) =>
      commands.changeTrust(anchors.slice(0, count), during)
    ),
  ];
}

Deno.test("whatever happens on a node, its volumes are as a small model predicts", async () => {
  const anchors = [await anchor("second"), await anchor("third")];
  await fc.assert(
    fc.asyncProperty(
      fc.commands(anyCommand(anchors), { maxCommands: 25, size: "max" }),
      async (schedule) => {
        await using real = await ModelledNode.create();
        await fc.asyncModelRun(() => ({ model: emptyModel(volumes), real }), schedule);
      },
    ),
    runs(200),
  );
});
