import { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import { type Client, connect } from "../../shared/grpc_client/client.ts";
import type { ClientIdentitySource } from "../../shared/grpc_client/client_identity.ts";

/** How a driver reaches the certificate service; the trust bundle is read again when it is used. */
export interface ServiceConnection {
  readonly address: string;
  /** The name that the service's certificate must bear. */
  readonly serverName: string;
  readonly caFile: string | undefined;
}

/** A client of the certificate service; it connects at its first call, and again when the identity was renewed. */
export function connectService(
  { address, serverName, caFile }: ServiceConnection,
  clientIdentity: ClientIdentitySource | undefined,
): Client<typeof CertificateService> & Disposable {
  return connect(CertificateService, {
    address,
    serverName,
    trustBundle: caFile === undefined ? undefined : () => Deno.readTextFileSync(caFile),
    clientIdentity,
  });
}
