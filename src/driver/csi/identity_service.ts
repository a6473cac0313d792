import type { Identity } from "../../shared/gen/csi_pb.ts";
import type { ServiceImplementation } from "../../shared/grpc/service_definition.ts";

/** The CSI Identity service (CSI specification, "Identity Service RPC"). */
export function identityService(
  options: { name: string; version: string; ready: () => boolean },
): ServiceImplementation<typeof Identity> {
  const { name, version, ready } = options;
  return {
    getPluginInfo: () => Promise.resolve({ name, vendorVersion: version }),
    // No controller, no topology: a node-only plugin has no plugin capability to declare.
    getPluginCapabilities: () => Promise.resolve({ capabilities: [] }),
    probe: () => Promise.resolve({ ready: ready() }),
  };
}
