import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { IssueCertificateRequestSchema } from "../../../src/shared/gen/certificate_service_pb.ts";
import { Node, NodePublishVolumeRequestSchema } from "../../../src/shared/gen/csi_pb.ts";
import { decodeMessage } from "../../../src/shared/grpc/message_codec.ts";
import { serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { sendBytes } from "../../support/grpc_probe.ts";
import { stubService } from "../../support/stub_service.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

const notUtf8 = new Uint8Array([0x61, 0xff, 0x62]);

/** A message of length-delimited fields, by their numbers. */
function message(...fields: [number: number, value: Uint8Array | string][]): Uint8Array {
  const writer = new BinaryWriter();
  for (const [number, value] of fields) {
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    writer.tag(number, WireType.LengthDelimited).bytes(bytes);
  }
  return writer.finish();
}

function problemOf(bytes: Uint8Array, schema = NodePublishVolumeRequestSchema): string {
  const result = decodeMessage(schema, bytes);
  assert.ok(result.kind === "refused");
  return result.problem;
}

const entry = (key: Uint8Array | string, value: Uint8Array | string) =>
  message([1, key], [2, value]);

Deno.test("text that is not UTF-8 is refused by its field's name", () => {
  assert.match(problemOf(message([1, "csi-1"], [4, notUtf8])), /^target_path is not valid UTF-8/);
});

Deno.test("a map's value that is not UTF-8 is named by its key", () => {
  const bytes = message([1, "csi-1"], [8, entry("a", "b")], [8, entry("duration", notUtf8)]);
  assert.match(problemOf(bytes), /^volume_context\["duration"\] is not valid UTF-8/);
});

Deno.test("a map's key that is not UTF-8 is named by its map", () => {
  const bytes = message([8, entry(notUtf8, "1h")]);
  assert.match(problemOf(bytes), /^a key of volume_context is not valid UTF-8/);
});

Deno.test("text deep in a message is named by its path", () => {
  const pod = message([1, "default"], [2, notUtf8]);
  const result = decodeMessage(IssueCertificateRequestSchema, message([1, notUtf8], [2, pod]));
  assert.ok(result.kind === "refused");
  assert.match(result.problem, /^pod\.name is not valid UTF-8/);
});

Deno.test("bytes that end early or are no protobuf are refused by the message's name", () => {
  for (const bytes of [[0x0a], [0x0a, 0x05, 0x61], [0x00, 0x00], [0xff, 0xff, 0xff, 0xff, 0xff]]) {
    assert.match(
      problemOf(new Uint8Array(bytes)),
      /^the bytes are not a csi\.v1\.NodePublishVolumeRequest \(/,
    );
  }
});

Deno.test("bytes by chance give a message or a problem, never a throw", () => {
  const good = toBinary(
    NodePublishVolumeRequestSchema,
    create(NodePublishVolumeRequestSchema, {
      volumeId: "csi-1",
      targetPath: "/var/lib/kubelet/pods/x",
      volumeCapability: { accessType: { case: "mount", value: { volumeMountGroup: "1000" } } },
      volumeContext: { "csi.storage.k8s.io/pod.name": "pod", duration: "1h" },
    }),
  );
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from(good);
    // A different byte and value each round, the same in every run.
    bytes[(round * 7) % bytes.length] = (round * 131) & 0xff;
    const { kind } = decodeMessage(NodePublishVolumeRequestSchema, bytes);
    assert.ok(kind === "message" || kind === "refused");
  }
});

Deno.test("fields that are unknown here are dropped", () => {
  const result = decodeMessage(NodePublishVolumeRequestSchema, message([1, "csi-1"], [500, "new"]));
  assert.ok(result.kind === "message");
  assert.equal(result.message.volumeId, "csi-1");
  assert.equal(result.message.$unknown, undefined);
});

Deno.test("a publish whose volume_context is not UTF-8 is answered INVALID_ARGUMENT with the key", async () => {
  await using folder = await temporaryFolder();
  const services = [stubService(Node, { nodePublishVolume: () => Promise.resolve({}) })];
  await using server = await serveUnix(`${folder.path}/csi.sock`, { services });
  const bytes = message([8, entry("uri-sans", notUtf8)]);
  const error = await sendBytes(`unix:${server.path}`, "/csi.v1.Node/NodePublishVolume", bytes);
  assert.equal(error?.code, status.INVALID_ARGUMENT);
  assert.match(error.details, /^volume_context\["uri-sans"\] is not valid UTF-8/);
});

Deno.test("a message has at most 1,024 fields, whatever they contain", () => {
  /** So many empty fields of number 1, two bytes each. */
  const fields = (count: number) =>
    new Uint8Array(2 * count).map((_, index) => index % 2 === 0 ? 0x0a : 0);
  assert.equal(decodeMessage(NodePublishVolumeRequestSchema, fields(1_024)).kind, "message");
  assert.match(problemOf(fields(1_025)), /^the message has more than 1024 fields$/);
  // 256 KiB of empty entries.
  assert.match(problemOf(fields(131_072)), /more than 1024 fields/);
  // What ends early is reported as before.
  const early = new Uint8Array([...fields(1_023), 0x0a, 0xff]);
  assert.match(problemOf(early), /^the bytes are not a csi\.v1\.NodePublishVolumeRequest/);
});
