/**
 * This folder translates the messages of CSI and of plugin registration into calls of
 * `driver/volume`, and their results into status codes. Its main functions are `nodeService`,
 * `identityService`, `registrationService` and `parsePublishRequest`. It never keeps state between
 * calls.
 */

import { status } from "@grpc/grpc-js";
import {
  type Node,
  type NodePublishVolumeRequest,
  NodeServiceCapability_RPC_Type,
  VolumeCapability_AccessMode_Mode,
} from "../../shared/gen/csi_pb.ts";
import { RpcError } from "../../shared/grpc/rpc_error.ts";
import type { CallContext, ServiceImplementation } from "../../shared/grpc/service_definition.ts";
import { abortable } from "../../shared/scheduler/abort_signals.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { Publisher, PublishRejection, PublishResult } from "../volume/publisher.ts";
import {
  parsePublishRequest,
  type ParseResult,
  parseUnpublishRequest,
  type PublishCall,
} from "./request_validation.ts";

/** CSI specification, "NodePublishVolume Errors"; for the kubelet PERMISSION_DENIED is final. */
const codes = {
  busy: status.ABORTED,
  conflict: status.ALREADY_EXISTS,
  occupied: status.FAILED_PRECONDITION,
  unusable: status.FAILED_PRECONDITION,
  denied: status.PERMISSION_DENIED,
  invalid: status.INVALID_ARGUMENT,
  unavailable: status.UNAVAILABLE,
  overloaded: status.RESOURCE_EXHAUSTED,
} satisfies Record<PublishRejection["kind"], status>;

/** The CSI Node service (CSI specification, "Node Service RPC"); staging and expansion do not exist here. */
export function nodeService(
  options: { nodeId: string; publisher: Pick<Publisher, "publish" | "unpublish"> },
): ServiceImplementation<typeof Node> {
  const { nodeId, publisher } = options;
  return {
    nodeGetInfo: () => Promise.resolve({ nodeId }),
    nodeGetCapabilities: () => {
      const rpc = { type: NodeServiceCapability_RPC_Type.VOLUME_MOUNT_GROUP };
      return Promise.resolve({ capabilities: [{ type: { case: "rpc" as const, value: rpc } }] });
    },
    nodePublishVolume: async (message, context) => {
      const request = requireValid(parsePublishRequest(rawPublish(message)));
      return toResponse(await runAction(() => publisher.publish(request, context.signal), context));
    },
    nodeUnpublishVolume: async (message, context) => {
      const request = requireValid(parseUnpublishRequest(message));
      return toResponse(await runAction(() => publisher.unpublish(request), context));
    },
  };
}

function rawPublish(message: NodePublishVolumeRequest): PublishCall {
  const capability = message.volumeCapability;
  const mount = capability?.accessType.case === "mount" ? capability.accessType.value : undefined;
  const mode = capability?.accessMode?.mode;
  return {
    volumeId: message.volumeId,
    targetPath: message.targetPath,
    access: capability?.accessType.case,
    accessMode: mode === undefined
      ? undefined
      : VolumeCapability_AccessMode_Mode[mode] ?? String(mode),
    fsType: mount?.fsType ?? "",
    mountFlags: mount?.mountFlags ?? [],
    volumeMountGroup: mount?.volumeMountGroup ?? "",
    volumeContext: message.volumeContext,
  };
}

function requireValid<T>(parsed: ParseResult<T>): T {
  if (parsed.kind === "request") return parsed.request;
  throw new RpcError(status.INVALID_ARGUMENT, parsed.reason);
}

/**
 * Returns an error on this node (a full disk, a target that is a file) with its reason: it becomes the pod's event. A call
 * ends with its deadline also while the disk does not answer; the action has the volume's lock until it ends itself.
 */
async function runAction(
  action: () => Promise<PublishResult>,
  context: CallContext,
): Promise<PublishResult> {
  try {
    return await abortable(action(), context.signal);
  } catch (cause) {
    if (context.signal.aborted) {
      throw new RpcError(status.CANCELLED, "the call ended before the volume was ready", { cause });
    }
    throw new RpcError(status.INTERNAL, errorMessage(cause), { cause });
  }
}

function toResponse(outcome: PublishResult): Record<never, never> {
  if (outcome.kind === "done") return {};
  const retryAfterMs = outcome.kind === "overloaded"
    ? outcome.retryAfter?.total("milliseconds")
    : undefined;
  throw new RpcError(
    codes[outcome.kind],
    outcome.reason,
    retryAfterMs === undefined ? {} : { retryAfterMs },
  );
}
