import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { nodeService } from "../../src/driver/csi/node_service.ts";
import {
  NodePublishVolumeRequestSchema,
  NodeUnpublishVolumeRequestSchema,
} from "../../src/shared/gen/csi_pb.ts";
import { decodeMessage, encodeMessage } from "../../src/shared/grpc/message_codec.ts";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import type { CallContext } from "../../src/shared/grpc/service_definition.ts";
import { formatRecord, parseRecord } from "../../src/driver/records/record_format.ts";
import { recordDirectoryName } from "../../src/driver/records/record_directory_name.ts";
import { volume } from "../driver/records/sample_record.ts";
import { Kubelet, publishRequest } from "../../scripts/support/kubelet.ts";
import { TestNode } from "../support/node.ts";
import { runs } from "../support/runs.ts";
import { mutated, mutatedText } from "./mutations.ts";

const bounded = { interruptAfterTimeLimit: 120_000, markInterruptAsFailure: true };
const context: CallContext = {
  signal: new AbortController().signal,
  peerCertificate: undefined,
};
/** The allowed answers to a call that is malformed or names a path that is not the driver's. */
const expected = [status.INVALID_ARGUMENT, status.ALREADY_EXISTS, status.FAILED_PRECONDITION];

/** Everything below a directory except the contents of pods' directories. */
function outside(directory: string, below = ""): string[] {
  return [...Deno.readDirSync(directory + below)].flatMap(({ name, isDirectory }) => {
    const path = `${below}/${name}`;
    if (path.startsWith("/kubelet/pods/") || path.startsWith("/records/")) return [];
    return isDirectory ? [path, ...outside(directory, path)] : [path];
  }).sort();
}

/** The highest of the directories that a path lacks; undefined for one that is all there, or is no path. */
function firstMissing(path: string): string | undefined {
  if (!path.startsWith("/") || path.includes("\0") || existsSync(path)) return undefined;
  return existsSync(dirname(path)) ? path : firstMissing(dirname(path));
}

Deno.test("a call with changed bytes is done in a pod's directory or refused, and changes nothing else", async () => {
  await using node = await TestNode.create();
  const kubelet = new Kubelet(`${node.directory}/kubelet`);
  const specs = [{ group: 0, attributes: { duration: "1h", "dns-names": "a,b" } }, {
    attributes: { "key-algorithm": "ed25519", "certificate-file": "server.pem" },
  }];
  const volumes = specs.map((spec) => kubelet.admit({ name: "web-0", namespace: "shop", ...spec }));
  for (const volume of volumes) await kubelet.note(volume);
  await Deno.writeTextFile(`${node.directory}/kubelet/pods/canary`, "");
  const publishes = volumes.map((volume) =>
    encodeMessage(NodePublishVolumeRequestSchema, publishRequest(volume))
  );
  const unpublishes = volumes.map(({ volumeId, targetPath }) =>
    encodeMessage(NodeUnpublishVolumeRequestSchema, { volumeId, targetPath })
  );
  const service = nodeService({ nodeId: "node-1", publisher: node.publisher });
  const before = outside(node.directory);
  const call = fc.boolean().chain((isPublish) =>
    fc.tuple(fc.constant(isPublish), mutated(isPublish ? publishes : unpublishes))
  );
  await fc.assert(
    fc.asyncProperty(call, async ([isPublish, bytes]) => {
      let stray: string | undefined;
      try {
        if (isPublish) {
          const decoded = decodeMessage(NodePublishVolumeRequestSchema, bytes);
          if (decoded.kind !== "message") return;
          stray = firstMissing(decoded.message.targetPath);
          await service.nodePublishVolume(decoded.message, context);
        } else {
          const decoded = decodeMessage(NodeUnpublishVolumeRequestSchema, bytes);
          if (decoded.kind !== "message") return;
          await service.nodeUnpublishVolume(decoded.message, context);
        }
      } catch (error) {
        assert.ok(error instanceof RpcError, `${error}`);
        assert.ok(expected.includes(error.code), `${status[error.code]}: ${error.message}`);
      }
      // A changed byte can be part of the path above the pods: a valid kubelet root as well.
      const isStray = stray !== undefined && !stray.startsWith(`${node.directory}/kubelet/pods/`);
      if (isStray && existsSync(stray!)) await Deno.remove(stray!, { recursive: true });
      assert.deepEqual(outside(node.directory), before);
    }),
    { ...runs(1_000), ...bounded },
  );
});

Deno.test("a record that was changed reads back as what was read, and its directory is one name", () => {
  const corpus = [volume(), volume({ group: 1000, attributes: { duration: "1h" } })];
  fc.assert(
    fc.property(mutatedText(corpus.map(formatRecord)), (text) => {
      const parsed = parseRecord(text);
      if (parsed.kind === "unreadable") return assert.ok(parsed.problem.length > 0);
      assert.equal(formatRecord(parsed.record), formatRecord(reread(parsed.record)));
      assert.match(recordDirectoryName(parsed.record), /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/);
    }),
    { ...runs(5_000), ...bounded },
  );
});

function reread(record: Parameters<typeof formatRecord>[0]) {
  const parsed = parseRecord(formatRecord(record));
  assert.ok(parsed.kind === "record");
  return parsed.record;
}

Deno.test("with any bytes in a record the driver starts, damages nothing, and the next publish is whole", async () => {
  await using node = await TestNode.create();
  await node.restart();
  const request = await node.request({ "key-algorithm": "ed25519" });
  await node.publish(request);
  const path = `${node.directory}/records/${recordDirectoryName(request)}/volume.json`;
  const good = await Deno.readTextFile(path);
  const canary = `${node.directory}/canary`;
  await Deno.mkdir(canary);
  await Deno.writeTextFile(`${canary}/file`, "");
  // Targets that a user could have written into it, in addition to random ones.
  const targets = ["relative", "/", "", "/proc/self", canary, `${canary}/file/x`, "/x\0y"];
  const pointed = targets.map((target) =>
    good.replace(JSON.stringify(request.targetPath), JSON.stringify(target))
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutatedText([good]), fc.constantFrom(...pointed)), async (text) => {
      await Deno.writeTextFile(path, text);
      await node.restart();
      await node.clock.advance({ milliseconds: 0 });
      await node.clock.until(() => node.scheduler.running === 0);
      assert.deepEqual([...Deno.readDirSync(canary)].map(({ name }) => name), ["file"]);
      await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeTextFile(path, good);
      await node.restart();
      assert.deepEqual(await node.publish(request), { kind: "done" });
      assert.ok(await node.leaf(request));
    }),
    { ...runs(150), ...bounded },
  );
});
