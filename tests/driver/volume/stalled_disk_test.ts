import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { nodeService } from "../../../src/driver/csi/node_service.ts";
import type { FileCalls } from "../../../src/shared/linux/disk.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { publishRequest } from "../../../scripts/support/kubelet.ts";
import { TestNode } from "../../support/node.ts";
import type { Volume } from "../../../src/driver/volume/volume_record.ts";

/** Calls that the disk does not answer until it is released. */
class Stall {
  readonly #released = Promise.withResolvers<void>();
  calls = 0;
  answered = 0;

  constructor(files: FileCalls, names: readonly (keyof FileCalls)[], at = "") {
    for (const name of names) {
      const original = files[name] as (...args: unknown[]) => Promise<unknown>;
      const stalled = async (...args: unknown[]) => {
        if (!String(args[0]).includes(at)) return await original(...args);
        this.calls++;
        await this.#released.promise;
        const result = await original(...args);
        this.answered++;
        return result;
      };
      Object.assign(files, { [name]: stalled });
    }
  }

  release(): void {
    this.#released.resolve();
  }
}

const changing = ["mkdir", "writeTextFile", "rename", "remove"] as const;
const done = { kind: "done" };

function isUnlocked({ table }: TestNode, { volumeId }: Volume): boolean {
  using lock = table.locks.tryAcquire(volumeId);
  return lock !== undefined;
}

function podVolume({ pod, volumeId, targetPath }: Volume) {
  return { pod, uid: pod.uid, volumeId, targetPath };
}

Deno.test("a publish whose call ends before the disk answers has an error at once, and leaves nothing when it answers", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  const stall = new Stall(node.files, changing);
  const service = nodeService({ nodeId: "node-1", publisher: node.publisher });
  const call = new AbortController();
  const context = { signal: call.signal, peerCertificate: undefined };
  const publishing = service.nodePublishVolume(
    publishRequest(podVolume(request)) as never,
    context,
  );
  await node.clock.until(() => stall.calls === 1);
  call.abort(new Error("the call's deadline has passed"));
  await assert.rejects(
    publishing,
    (error) => error instanceof RpcError && error.code === status.CANCELLED,
  );
  assert.equal((await node.publish(request)).kind, "busy");
  assert.equal(node.issuer.requests.length, 1);
  stall.release();
  await node.clock.until(() => isUnlocked(node, request));
  assert.equal(await node.mounter.state(request.targetPath), "absent");
  await assert.rejects(Deno.lstat(request.targetPath), Deno.errors.NotFound);
  assert.deepEqual(await node.publish(request), done);
});

Deno.test("a volume whose disk does not answer keeps no other from being published, renewed or removed", async () => {
  await using node = await TestNode.create();
  const [stalled, other] = [await node.request(), await node.request({ duration: "10h" })];
  const stall = new Stall(node.files, changing, stalled.pod.uid);
  const publishing = node.publish(stalled);
  await node.clock.until(() => stall.calls === 1);
  assert.deepEqual(await node.publish(other), done);
  await node.renew(other);
  assert.deepEqual(node.renewals, ["renewed"]);
  assert.deepEqual(await node.publisher.unpublish(other), done);
  assert.equal((await node.publish(stalled)).kind, "busy");
  stall.release();
  assert.deepEqual(await publishing, done);
});

Deno.test("a renewal waits 10 seconds for its record, others then do not wait, and the sweep writes all when the disk answers", async () => {
  await using node = await TestNode.create();
  const requests = [
    await node.request({ duration: "10h" }),
    await node.request({ duration: "10h" }),
  ];
  for (const request of requests) await node.publish(request);
  await node.restart();
  const before = await Promise.all(requests.map((request) => node.leaf(request)));
  const records = `${node.directory}/records/`;
  const stall = new Stall(node.files, changing, records);
  node.renewer.renewSoon(node.table.get(requests[0]!.volumeId)!);
  await node.clock.advance({ minutes: 1 });
  await node.clock.until(() => stall.calls === 1);
  assert.notEqual((await node.leaf(requests[0]!)).serialNumber, before[0]!.serialNumber);
  assert.deepEqual(await node.publish(requests[0]!), done);
  assert.deepEqual(node.renewals, []);
  await node.clock.advance({ seconds: 10 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.deepEqual(node.renewals, ["renewed"]);
  node.renewer.renewSoon(node.table.get(requests[1]!.volumeId)!);
  await node.clock.advance({ minutes: 1 });
  await node.clock.until(() => node.renewals.length === 2 && node.scheduler.running === 0);
  assert.equal(stall.calls, 1, "one call waits for the disk, not one for each volume");
  stall.release();
  // The certificate and the record, each written and renamed.
  await node.clock.until(() => stall.answered === 4);
  // To the sweep, 5 minutes after the restart, and no further: its calls are made in real time.
  await node.clock.advance({ minutes: 2, seconds: 50 });
  await node.clock.until(() => requests.every(({ volumeId }) => node.table.isSaved(volumeId)));
  const stored = (await node.store.load()).records.map(({ serialNumber }) => serialNumber).sort();
  const mounted = await Promise.all(requests.map((request) => node.leaf(request)));
  assert.deepEqual(stored, mounted.map(({ serialNumber }) => serialNumber).sort());
});

Deno.test("while the disk does not answer the sweep has one call in progress, however many rounds are due", async () => {
  await using node = await TestNode.create();
  const given = [await node.request(), await node.request()];
  for (const request of given) await node.publish(request);
  await node.restart();
  for (const { targetPath } of given) {
    await Deno.remove(targetPath.replace(/mount$/, "vol_data.json"));
  }
  const stall = new Stall(node.files, ["lstat"], "vol_data.json");
  for (let rounds = 0; rounds < 3; rounds++) await node.clock.advance({ minutes: 5 });
  await node.clock.until(() => stall.calls === 1);
  assert.equal(node.table.size, 2);
  stall.release();
  await node.clock.until(() => node.table.size === 0 && node.scheduler.running === 0);
  assert.equal((await node.store.load()).records.length, 0);
});
