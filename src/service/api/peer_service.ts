import { create } from "@bufbuild/protobuf";
import {
  type CertificatePeers,
  ListCertificatesRequestSchema,
} from "../../shared/gen/certificate_service_pb.ts";
import type { ServiceImplementation } from "../../shared/grpc/service_definition.ts";
import type { Authenticator } from "../access/authenticator.ts";
import type { OwnCertificates } from "../peers/all_replicas.ts";
import { requireReplica } from "./authenticated_caller.ts";
import { nodePages } from "./node_pages.ts";
import { validateListRequest, validateSerialNumber } from "./request_validation.ts";

export interface PeerServiceParts {
  readonly authenticator: Authenticator;
  /** This replica's id. */
  readonly replica: string;
  readonly own: OwnCertificates;
}

/** The service for the other replicas, on the gRPC port. */
export function peerService(
  { authenticator, replica, own }: PeerServiceParts,
): ServiceImplementation<typeof CertificatePeers> {
  return {
    findCertificate: async ({ serialNumber }, context) => {
      await requireReplica(authenticator, context);
      const certificate = own.find(validateSerialNumber(serialNumber));
      return { replica, ...(certificate === undefined ? {} : { certificate }) };
    },
    listOwnCertificates: async function* ({ filter }, context) {
      await requireReplica(authenticator, context);
      const request = filter ?? create(ListCertificatesRequestSchema);
      validateListRequest(request);
      yield { replica };
      for await (const certificates of own.pages(request)) {
        yield { replica, certificates: [...certificates] };
      }
    },
    listOwnNodes: async function* (_message, context) {
      await requireReplica(authenticator, context);
      yield { replica };
      yield* nodePages(own.nodes(), { replica });
    },
  };
}
