import { Client, credentials, status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { identityService } from "../../../src/driver/csi/identity_service.ts";
import { nodeService } from "../../../src/driver/csi/node_service.ts";
import { registrationService } from "../../../src/driver/csi/registration_service.ts";
import { Identity, Node } from "../../../src/shared/gen/csi_pb.ts";
import { Registration } from "../../../src/shared/gen/plugin_registration_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import type { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { registerService, serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { Kubelet, publishRequest } from "../../../scripts/support/kubelet.ts";
import { TestNode } from "../../support/node.ts";

/** The driver's services on real sockets, over a node whose clock stands still. */
async function withServices(
  test: (kubelet: Kubelet, node: TestNode, socket: string) => Promise<void>,
): Promise<void> {
  await using node = await TestNode.create();
  const kubelet = new Kubelet(`${node.directory}/kubelet`);
  const socket = `${node.directory}/csi.sock`;
  const name = "csi.k8s.cert-driver";
  await using _csi = await serveUnix(socket, {
    services: [
      registerService(Identity, identityService({ name, version: "1.2.3" })),
      registerService(Node, nodeService({ nodeId: "node-1", publisher: node.publisher })),
    ],
  });
  await Deno.mkdir(kubelet.registrationDir, { recursive: true });
  await using _registration = await serveUnix(`${kubelet.registrationDir}/${name}-reg.sock`, {
    services: [registerService(Registration, registrationService({ name, endpoint: socket }))],
  });
  await test(kubelet, node, socket);
}

interface RecordedCall {
  readonly call: string;
  readonly request: {
    readonly volume_id?: string;
    readonly target_path?: string;
    readonly readonly?: boolean;
    readonly volume_capability?: unknown;
    readonly volume_context?: Record<string, string>;
    readonly plugin_registered?: boolean;
  };
}

const recorded: RecordedCall[] = Deno.readTextFileSync(
  new URL("kubelet-calls.jsonl", import.meta.url),
).trim().split("\n").map((line) => JSON.parse(line));

Deno.test("every call recorded from a real kubelet gets the answer it needs", async () => {
  await withServices(async (kubelet, test) => {
    await kubelet.register();
    using node = kubelet.node();
    using registration = connect(Registration, {
      address: `unix://${kubelet.registrationDir}/csi.k8s.cert-driver-reg.sock`,
    });
    const issued = new Set<string>();
    const inRoot = (path = "") => path.replace("/var/lib/kubelet", kubelet.root);
    for (const { call, request } of recorded) {
      const { volume_id: volumeId = "" } = request;
      const targetPath = inRoot(request.target_path);
      if (call === "pluginregistration.Registration/GetInfo") {
        assert.equal((await registration.getInfo({})).type, "CSIPlugin");
      } else if (call === "pluginregistration.Registration/NotifyRegistrationStatus") {
        await registration.notifyRegistrationStatus({
          pluginRegistered: request.plugin_registered ?? false,
        });
      } else if (call === "csi.v1.Node/NodeGetInfo") {
        assert.equal((await node.nodeGetInfo({})).nodeId, "node-1");
      } else if (call === "csi.v1.Node/NodeUnpublishVolume") {
        await node.nodeUnpublishVolume({ volumeId, targetPath });
        await assert.rejects(Deno.lstat(targetPath), Deno.errors.NotFound);
      } else {
        assert.equal(call, "csi.v1.Node/NodePublishVolume");
        assert.deepEqual(request.volume_capability, {
          mount: {},
          access_mode: { mode: "SINGLE_NODE_WRITER" },
        });
        const { volume_context: volumeContext = {}, readonly = false } = request;
        await Deno.mkdir(dirname(targetPath), { recursive: true });
        const publish = node.nodePublishVolume({
          volumeId,
          targetPath,
          readonly,
          volumeContext,
          volumeCapability: {
            accessType: { case: "mount", value: {} },
            accessMode: { mode: 1 },
          },
        });
        // The recording's driver had an attribute of its own, to play faults; ours does not know it.
        if (volumeContext.mode !== undefined) {
          await assert.rejects(publish, (error: RpcError) => {
            assert.equal(error.code, status.INVALID_ARGUMENT);
            assert.match(error.message, /volume_context\["mode"\]: is ".*", expected one of/);
            return true;
          });
          await assert.rejects(Deno.lstat(targetPath), Deno.errors.NotFound);
        } else {
          await publish;
          issued.add(volumeId);
          assert.ok(await Deno.readTextFile(`${targetPath}/tls.key`));
        }
      }
    }
    assert.equal(test.issuer.requests.length, issued.size, "one certificate for each volume");
  });
});

Deno.test("identity and capabilities are those of an ephemeral node plugin", async () => {
  await withServices(async (kubelet) => {
    const { name, nodeId } = await kubelet.register();
    assert.deepEqual([name, nodeId], ["csi.k8s.cert-driver", "node-1"]);
    using identity = kubelet.identity();
    const info = await identity.getPluginInfo({});
    assert.deepEqual([info.name, info.vendorVersion], ["csi.k8s.cert-driver", "1.2.3"]);
    assert.deepEqual((await identity.getPluginCapabilities({})).capabilities, []);
    assert.equal((await identity.probe({})).ready, true);
    using node = kubelet.node();
    const { capabilities } = await node.nodeGetCapabilities({});
    assert.deepEqual(capabilities.map(({ type }) => type.case === "rpc" && type.value.type), [6]);
  });
});

Deno.test("every other call of CSI is UNIMPLEMENTED", async () => {
  await withServices(async (_kubelet, _node, socket) => {
    const client = new Client(`unix:${socket}`, credentials.createInsecure());
    const others = [
      "Node/NodeStageVolume",
      "Node/NodeUnstageVolume",
      "Node/NodeGetVolumeStats",
      "Node/NodeExpandVolume",
      "Controller/CreateVolume",
      "Controller/ControllerGetCapabilities",
      "GroupController/GroupControllerGetCapabilities",
    ];
    try {
      for (const method of others) {
        const code = await new Promise((resolve) =>
          client.makeUnaryRequest(
            `/csi.v1.${method}`,
            (bytes: Buffer) => bytes,
            (bytes) => bytes,
            Buffer.alloc(0),
            (error) => resolve(error?.code),
          )
        );
        assert.equal(code, status.UNIMPLEMENTED, method);
      }
    } finally {
      client.close();
    }
  });
});

Deno.test("each outcome has its code of the CSI specification", async () => {
  await withServices(async (kubelet, test) => {
    await kubelet.register();
    using node = kubelet.node();
    const volume = kubelet.admit({ name: "web-0", namespace: "shop" });
    await kubelet.note(volume);
    const request = publishRequest(volume);
    const code = (change: Partial<typeof request> = {}) =>
      node.nodePublishVolume({ ...request, ...change })
        .then(() => status.OK, (error: RpcError) => error.code);
    const answers = [
      [{ kind: "denied", reason: "no" }, status.PERMISSION_DENIED],
      [{ kind: "invalid", reason: "no" }, status.INVALID_ARGUMENT],
      [{ kind: "unavailable", reason: "no" }, status.UNAVAILABLE],
      [{ kind: "overloaded", reason: "no", retryAfter: undefined }, status.RESOURCE_EXHAUSTED],
    ] as const;
    for (const [answer, expected] of answers) {
      test.issuer.answer = () => Promise.resolve(answer);
      assert.equal(await code(), expected);
    }
    test.issuer.answer = undefined;
    assert.equal(await code(), status.OK);
    const volumeContext = { ...request.volumeContext, duration: "1h" };
    assert.equal(await code({ volumeContext }), status.ALREADY_EXISTS);
    const targetPath = request.targetPath.replace("/certs/", "/other/");
    assert.equal(await code({ targetPath }), status.FAILED_PRECONDITION);
    assert.equal(await code({ volumeId: "" }), status.INVALID_ARGUMENT);
  });
});

Deno.test("a fault of this node is INTERNAL and its sentence reaches the pod's event", async () => {
  await withServices(async (kubelet) => {
    await kubelet.register();
    const volume = kubelet.admit({ name: "web-0", namespace: "shop" });
    await kubelet.note(volume);
    await Deno.writeTextFile(volume.targetPath, "a file in the target's place");
    await assert.rejects(kubelet.publish(volume), (error: RpcError) => {
      assert.ok([status.INTERNAL, status.FAILED_PRECONDITION].includes(error.code));
      assert.ok(error.message.includes(volume.targetPath), error.message);
      return true;
    });
    assert.equal(await Deno.readTextFile(volume.targetPath), "a file in the target's place");
  });
});
