import { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import { type Client, connect } from "../../shared/grpc_client/client.ts";

/** How a driver reaches the certificate service and proves who it is; files are read anew when used. */
export interface ServiceConnection {
  readonly address: string;
  /** The name that the service's certificate must bear. */
  readonly serverName: string;
  readonly caFile: string | undefined;
  readonly tokenFile: string | undefined;
  readonly clientIdentity:
    | { readonly certificateFile: string; readonly privateKeyFile: string }
    | undefined;
}

/** A client of the certificate service; it connects at its first call. */
export function connectService(
  { address, serverName, caFile, tokenFile, clientIdentity }: ServiceConnection,
): Client<typeof CertificateService> & Disposable {
  return connect(CertificateService, {
    address,
    serverName,
    trustBundle: caFile === undefined ? undefined : () => Deno.readTextFileSync(caFile),
    token: tokenFile === undefined
      ? undefined
      : async () => (await Deno.readTextFile(tokenFile)).trim(),
    clientIdentity: clientIdentity && (() => ({
      certificatePem: Deno.readTextFileSync(clientIdentity.certificateFile),
      privateKeyPem: Deno.readTextFileSync(clientIdentity.privateKeyFile),
    })),
  });
}
