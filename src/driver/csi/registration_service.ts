import { getLogger } from "@logtape/logtape";
import type { Registration } from "../../shared/gen/plugin_registration_pb.ts";
import type { ServiceImplementation } from "../../shared/grpc/service_definition.ts";

const logger = getLogger(["csi-driver", "registration"]);

/** The kubelet's plugin registration: it calls this when it finds the driver's registration socket. */
export function registrationService(
  options: { name: string; endpoint: string },
  onStatus: (refusal: string | undefined) => void = () => {},
): ServiceImplementation<typeof Registration> {
  return {
    getInfo: () =>
      Promise.resolve({
        type: "CSIPlugin",
        name: options.name,
        endpoint: options.endpoint,
        supportedVersions: ["1.0.0"],
      }),
    notifyRegistrationStatus: (status) => {
      onStatus(status.pluginRegistered ? undefined : status.error);
      if (status.pluginRegistered) logger.info("registered with the kubelet", { ...options });
      else logger.error("the kubelet refused the registration: {reason}", { reason: status.error });
      return Promise.resolve({});
    },
  };
}
