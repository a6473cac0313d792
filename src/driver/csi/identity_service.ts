import type { Identity } from "../../shared/gen/csi_pb.ts";
import type { ServiceImplementation } from "../../shared/grpc/service_definition.ts";

/** The CSI Identity service (CSI specification, "Identity Service RPC"). */
export function identityService(
  { name, version }: { readonly name: string; readonly version: string },
): ServiceImplementation<typeof Identity> {
  return {
    getPluginInfo: () => Promise.resolve({ name, vendorVersion: version }),
    // No controller, no topology: a node-only plugin has no plugin capability to declare.
    getPluginCapabilities: () => Promise.resolve({ capabilities: [] }),
    probe: () => Promise.resolve({ ready: true }),
  };
}
