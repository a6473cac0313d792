import assert from "node:assert/strict";
import type { AsyncCommand } from "fast-check";
import { exportPrivateKey, generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import type { Volume } from "../../../src/driver/volume/volume_record.ts";
import type { ModelledNode, ServiceState } from "./modelled_node.ts";
import { healedMs, type ModelVolume, type NodeModel, unpublished } from "./volume_model.ts";

type Command = AsyncCommand<NodeModel, ModelledNode>;

export const lifetimes = ["10m", "30m"] as const;
const lifetimeMs = { "10m": 600_000, "30m": 1_800_000 };

/** A step of a schedule: an action and its expected outcome, and then a check of everything. */
function command(
  name: string,
  run: (model: NodeModel, real: ModelledNode) => Promise<void>,
  check: (model: NodeModel) => boolean = () => true,
): Command {
  return {
    check,
    run: async (model, real) => {
      await run(model, real);
      await real.settle();
      await inspect(model, real);
    },
    toString: () => name,
  };
}

/** A command for one volume. */
function onVolume(
  name: string,
  at: number,
  run: (volume: ModelVolume, real: ModelledNode, model: NodeModel) => Promise<void>,
  check: (volume: ModelVolume) => boolean = () => true,
): Command {
  return command(
    `${name}(${at})`,
    (model, real) => run(model.volumes[at]!, real, model),
    (model) => check(model.volumes[at]!),
  );
}

const isRequested = ({ request }: ModelVolume) => request !== undefined;

function isHealthy({ seen, request }: ModelVolume, real: ModelledNode): boolean {
  const notAfter = real.issued.get(request?.volumeId ?? "")?.notAfter;
  return seen === "whole" && notAfter !== undefined &&
    Temporal.Instant.compare(notAfter, real.node.clock.now()) > 0;
}

/** The kubelet publishes: a new pod's volume, or the one that it holds again. */
export const publish = (at: number, duration: keyof typeof lifetimeMs, reuse: boolean) =>
  onVolume(
    `publish ${duration}${reuse ? " reuse" : ""} `,
    at,
    (volume, real, model) => publishOnce(volume, real, model, duration, reuse),
  );

async function publishOnce(
  volume: ModelVolume,
  real: ModelledNode,
  model: NodeModel,
  duration: keyof typeof lifetimeMs,
  reuse: boolean,
  beside = false,
): Promise<void> {
  const attributes = { duration, "key-algorithm": "ed25519", "reuse-private-key": `${reuse}` };
  volume.request ??= await real.node.request(attributes, { uid: `pod-${++model.pods}` });
  const { volumeId } = volume.request;
  const healthy = isHealthy(volume, real);
  const wasKnown = volume.known;
  const before = real.requests.get(volumeId) ?? 0;
  const { kind } = await real.outcomeOf(real.node.publish(volume.request));
  const requests = (real.requests.get(volumeId) ?? 0) - before;
  if (healthy) {
    assert.equal(kind, "done", "a healthy volume gets no error");
    assert.equal(requests, 0, "and no second certificate");
    if (!volume.known) adopted(volume, model);
    return;
  }
  // A renewal that waits for a silent service has the volume's lock; so may a concurrent step.
  if (kind === "busy") return assert.ok(beside || model.service === "silent");
  const expected = {
    up: "done",
    away: "unavailable",
    silent: "unavailable",
    throttling: "overloaded",
    denying: volume.seen === "nothing" ? "denied" : "unavailable",
  }[model.service];
  assert.equal(kind, expected);
  // A volume that is known has a renewal, which may send a request at the same time as this call.
  assert.ok(requests === 1 || wasKnown && requests === 2, `${requests} requests`);
  if (kind === "done") Object.assign(volume, { seen: "whole", known: true, recordLost: false });
  if (kind === "denied") await denied(volume, real);
}

/** A denial is final for the kubelet: it sends no unpublish, and nothing of the volume may remain. */
async function denied(volume: ModelVolume, real: ModelledNode): Promise<void> {
  await real.assertGone(volume.request!);
  if (volume.recordLost) await real.discardRecord(volume.request!);
  Object.assign(volume, unpublished());
}

/** A mount that had no record: the next sweep repairs what it missed meanwhile. */
function adopted(volume: ModelVolume, model: NodeModel): void {
  Object.assign(volume, { known: true, recordLost: false });
  model.calmMs = 0;
}

export const publishOtherwise = (at: number) =>
  onVolume("publish with other attributes ", at, async ({ request }, real) => {
    const attributes = { ...request!.attributes, duration: "20m" };
    const other = await real.node.request(attributes, { uid: request!.pod.uid });
    assert.equal((await real.node.publish(other)).kind, "conflict");
  }, (volume) => isRequested(volume) && volume.known);

/** The kubelet's call ends while the service works on the request. */
export const publishCancelled = (at: number) =>
  onVolume("publish, cancelled ", at, async ({ request }, real) => {
    const call = new AbortController();
    real.onRequest = () => call.abort(new Error("cancelled"));
    await assert.rejects(real.node.publish(request!, call.signal), /cancelled/);
    real.onRequest = () => {};
  }, (volume) => isRequested(volume) && volume.seen === "nothing" && !volume.known);

export const publishTwiceAtOnce = (at: number) =>
  onVolume("publish twice at once ", at, async (volume, real, model) => {
    const before = real.requests.get(volume.request!.volumeId) ?? 0;
    const healthy = isHealthy(volume, real);
    const calls = [real.node.publish(volume.request!), real.node.publish(volume.request!)];
    const kinds = (await real.outcomeOf(Promise.all(calls))).map(({ kind }) => kind).sort();
    const requests = (real.requests.get(volume.request!.volumeId) ?? 0) - before;
    if (healthy) assert.deepEqual([kinds, requests], [volume.known ? ["done", "done"] : kinds, 0]);
    else {
      // The second call meets the first at its work, or finds what that has repaired.
      const given = kinds[0] === "busy" || kinds.every((kind) => kind === "done");
      const most = volume.known ? 2 : 1; // as for one call
      assert.ok(requests <= most && given, `${kinds}, ${requests} requests`);
    }
    if (kinds.includes("denied")) return await denied(volume, real);
    if (kinds.includes("done")) {
      if (!volume.known) model.calmMs = 0;
      Object.assign(volume, { seen: "whole", known: true });
      if (!healthy) volume.recordLost = false;
    }
    if (healthy && volume.recordLost) volume.recordLost = !await real.hasRecord(volume.request!);
  }, isRequested);

export const unpublish = (at: number) =>
  onVolume("unpublish ", at, async (volume, real) => {
    const { request } = volume;
    assert.deepEqual(await real.node.publisher.unpublish(request!), { kind: "done" });
    await real.assertGone(request!);
    assert.deepEqual(await real.node.publisher.unpublish(request!), { kind: "done" });
    await Deno.remove(kubeletRecordOf(request!)).catch(() => {});
    await Deno.remove(request!.targetPath.replace(/\/mount$/, ""), { recursive: true });
    if (volume.recordLost) await real.discardRecord(request!);
    Object.assign(volume, unpublished());
  }, isRequested);

/** Unpublish while a publish runs: one of the two is busy, and in the end nothing remains. */
export const unpublishMeanwhile = (at: number) =>
  onVolume("unpublish during publish ", at, async (volume, real, model) => {
    const request = volume.request!;
    const both = [real.node.publish(request), real.node.publisher.unpublish(request)];
    const [published] = await real.outcomeOf(Promise.all(both));
    if (published?.kind === "done") Object.assign(volume, { known: true });
    await unpublish(at).run(model, real);
  }, isRequested);

export const pass = (ms: number) =>
  command(`pass ${ms / 1000} s`, async (model, real) => {
    const before = new Map(real.requests);
    await real.pass(ms);
    if (model.service === "up") model.calmMs += ms;
    for (const volume of model.volumes) {
      if (!volume.request || !volume.known) continue;
      const { volumeId, attributes } = volume.request;
      const requests = (real.requests.get(volumeId) ?? 0) - (before.get(volumeId) ?? 0);
      const lifetime = lifetimeMs[attributes["duration"] as keyof typeof lifetimeMs];
      // Two more: a repair, and what fell due before.
      const most = model.service === "up" ? ms / (lifetime * 0.8) + 2 : ms / 1_000 + 2;
      assert.ok(requests <= most, `${requests} requests in ${ms / 1000} s`);
    }
  });

export const service = (state: ServiceState) =>
  command(`service ${state}`, async (model, real) => {
    const back = state === "up" && (model.service === "away" || model.service === "silent");
    model.service = real.service = state;
    if (state !== "up") {
      if (state === "away" || state === "silent") real.node.trust.disconnected();
      return void (model.calmMs = 0);
    }
    if (!back) return;
    // As the program does when its stream to the service is open again.
    real.node.renewer.retryFailed(10_000);
    await real.node.trust.update(real.node.issuer.trustBundle);
  });

export const stepClock = (ms: number) =>
  command(`the clock steps by ${ms / 1000} s`, (model, real) => {
    real.node.clock.set(real.node.clock.now().add({ milliseconds: ms }));
    model.calmMs = 0;
    return Promise.resolve();
  });

export const restart = () =>
  command("restart", async (model, real) => {
    const before = new Map(real.requests);
    await real.node.restart();
    await real.settle();
    // The program's stream to the service brings the bundle.
    if (model.service !== "away" && model.service !== "silent") {
      await real.node.trust.update(real.node.issuer.trustBundle);
    }
    for (const volume of model.volumes) {
      if (!volume.request) continue;
      if (volume.recordLost) volume.known = false;
      const { volumeId } = volume.request;
      if (!volume.known) assert.equal(real.requests.get(volumeId), before.get(volumeId));
    }
    model.calmMs = 0;
  });

export const podDeletedMeanwhile = (at: number) =>
  onVolume(
    "the pod is deleted while the driver is not running ",
    at,
    async (volume, real, model) => {
      await Deno.remove(kubeletRecordOf(volume.request!));
      await restart().run(
        { ...model, volumes: model.volumes.filter((other) => other !== volume) },
        real,
      );
      await real.assertGone(volume.request!);
      await Deno.remove(volume.request!.targetPath.replace(/\/mount$/, ""), { recursive: true });
      Object.assign(volume, unpublished());
    },
    (volume) => isRequested(volume) && volume.known && !volume.recordLost,
  );

export const damages = [
  "no key",
  "no certificate",
  "other key",
  "empty bundle",
  "no mount",
] as const;

export const damage = (at: number, how: typeof damages[number]) =>
  onVolume(`damage: ${how} `, at, async (volume, real, model) => {
    const request = volume.request!;
    const { privateKey } = await generateKeyPair("ed25519");
    const otherKeyPem = await exportPrivateKey(privateKey);
    if (how === "no mount") await real.node.removeTarget(request);
    else {
      await real.node.damage(request, async (files) => {
        if (how === "no key") await Deno.remove(`${files}/tls.key`);
        if (how === "no certificate") await Deno.truncate(`${files}/tls.crt`, 100);
        if (how === "empty bundle") await Deno.truncate(`${files}/ca.crt`);
        if (how === "other key") await Deno.writeTextFile(`${files}/tls.key`, otherKeyPem);
      });
    }
    volume.seen = how === "no mount" ? "nothing" : "damaged";
    model.calmMs = 0;
  }, (volume) => isRequested(volume) && volume.seen === "whole");

export const damageRecord = (at: number, how: "truncated" | "removed") =>
  onVolume(`record ${how} `, at, async (volume, real) => {
    const path = real.recordPath(volume.request!);
    if (how === "removed") await Deno.remove(path, { recursive: true });
    else await Deno.truncate(`${path}/volume.json`, 20);
    volume.recordLost = true;
  }, (volume) => isRequested(volume) && volume.known && !volume.recordLost);

/** The trust bundle changes; with `during`, while that volume is published. */
export const changeTrust = (anchors: readonly Uint8Array[], during: number | undefined) =>
  command(
    `trust bundle of ${anchors.length + 1}${
      during === undefined ? "" : ` during publish (${during})`
    }`,
    async (model, real) => {
      real.node.issuer.furtherAnchors = anchors;
      model.calmMs = 0;
      // Its stream is another call than those that it denies.
      if (model.service === "away" || model.service === "silent") return;
      const volume = during === undefined ? undefined : model.volumes[during];
      await Promise.all([
        volume?.request && publishOnce(volume, real, model, "10m", false, true),
        real.node.trust.update(real.node.issuer.trustBundle),
      ]);
    },
  );

function kubeletRecordOf({ targetPath }: Volume): string {
  return targetPath.replace(/mount$/, "vol_data.json");
}

/** Compares everything that is visible with the model. */
async function inspect(model: NodeModel, real: ModelledNode): Promise<void> {
  for (const volume of model.volumes) if (volume.request) await inspectVolume(volume, model, real);
  const expected = model.volumes.filter((volume) => volume.request && volume.known)
    .filter((volume) => !volume.recordLost).map(({ request }) => real.recordPath(request!)).sort();
  const present = real.recordNames.map((name) => `${real.node.directory}/records/${name}`);
  const damaged = model.volumes.filter((volume) => volume.recordLost && volume.request)
    .map(({ request }) => real.recordPath(request!));
  assert.deepEqual(present.filter((path) => !damaged.includes(path)), expected);
  assert.equal(real.node.table.size, model.volumes.filter(({ known }) => known).length);
}

async function inspectVolume(volume: ModelVolume, model: NodeModel, real: ModelledNode) {
  const request = volume.request!;
  const { node } = real;
  const record = node.table.get(request.volumeId);
  assert.equal(record !== undefined, volume.known, "known as the model knows it");
  const last = real.issued.get(request.volumeId);
  // A repair or a renewal made it whole, and wrote its record again.
  if (record && last && record.issuedAt && record.serialNumber === last.serialNumber) {
    if (volume.seen !== "whole") volume.seen = await real.isWhole(request) ? "whole" : volume.seen;
    if (volume.recordLost) volume.recordLost = !await real.hasRecord(request);
  }
  if (volume.known) assert.ok(node.scheduler.nextRun(request.volumeId), "a schedule");
  if (volume.seen === "whole") {
    const leaf = await real.assertWhole(request);
    if (volume.known) assert.equal(record?.serialNumber, leaf.serialNumber);
  }
  if (!volume.known || model.calmMs < healedMs || volume.seen === "nothing") return;
  assert.equal(volume.seen, "whole", "repaired within a sweep");
  assert.equal(await real.bundleOf(request), real.bundle, "the bundle of now");
  const leaf = last!;
  const now = node.clock.now();
  assert.ok(Temporal.Instant.compare(leaf.notBefore, now) <= 0, "valid already");
  const lifetime = lifetimeMs[request.attributes["duration"] as keyof typeof lifetimeMs];
  const leftMs = leaf.notAfter.epochMilliseconds - now.epochMilliseconds;
  assert.ok(leftMs > lifetime * 0.15, `${leftMs / 1000} s are left of ${lifetime / 1000}`);
  const due = node.scheduler.nextRun(request.volumeId)!;
  assert.ok(
    due.since(node.scheduler.now()).total("milliseconds") < lifetime,
    "due within the lifetime",
  );
}
