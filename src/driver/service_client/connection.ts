import { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import { type Client, connect } from "../../shared/grpc_client/client.ts";
import type { ClientIdentitySource } from "../../shared/grpc_client/client_identity.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { attest } from "./attestation_client.ts";
import { FileIdentity, type IdentityFiles } from "./file_identity.ts";
import { NodeIdentity } from "./node_identity.ts";

/** A service account token that is exchanged for a node certificate, at an endpoint of its own. */
export interface AttestedIdentity {
  readonly attestation: { readonly hostname: string; readonly port: number };
  readonly tokenFile: string;
}

/** How a driver reaches the certificate service and proves on which node it runs. */
export interface ServiceConnection {
  /** "https://host:port" or "http://host:port". */
  readonly address: string;
  /** The name that the service's certificate must bear, whatever the address. */
  readonly serverName: string;
  /** The trust bundle (PEM), read again when it is used; undefined over http. */
  readonly caFile: string | undefined;
  /** Undefined for a service with AUTHENTICATION=none. */
  readonly identity:
    | { readonly kind: "attested" } & AttestedIdentity
    | { readonly kind: "files" } & IdentityFiles
    | undefined;
}

export interface ServiceClient {
  readonly client: Client<typeof CertificateService>;
  readonly identity: ClientIdentitySource | undefined;
  /** Resolves when the first attestation has ended, whatever its outcome. */
  readonly attested: Promise<void>;
}

/**
 * A client of the certificate service, and its identity there, until disposed. It connects at its first call, and again
 * when its identity was renewed.
 */
export function connectService(
  connection: ServiceConnection,
  tools: { readonly clock: Clock; readonly random: () => number },
): ServiceClient & Disposable {
  const { address, serverName, caFile } = connection;
  using undo = new DisposableStack();
  const opened = openIdentity(connection, tools);
  const identity = undo.use(opened.identity);
  const client = undo.use(connect(CertificateService, {
    address,
    serverName,
    trustBundle: caFile === undefined ? undefined : () => Deno.readTextFileSync(caFile),
    clientIdentity: identity,
    clock: tools.clock,
  }));
  const resources = undo.move();
  const { attested } = opened;
  return { client, identity, attested, [Symbol.dispose]: () => resources.dispose() };
}

function openIdentity(
  { serverName, caFile, identity }: ServiceConnection,
  { clock, random }: { readonly clock: Clock; readonly random: () => number },
): { identity: (ClientIdentitySource & Disposable) | undefined; attested: Promise<void> } {
  const attested = Promise.resolve();
  if (identity === undefined || caFile === undefined) return { identity: undefined, attested };
  if (identity.kind === "files") return { identity: FileIdentity.open(identity, clock), attested };
  const { attestation, tokenFile } = identity;
  const endpoint = { ...attestation, serverName, caFile, tokenFile };
  const attestHere = (signal: AbortSignal) => attest(endpoint, clock, signal);
  const node = new NodeIdentity({ attest: attestHere, clock, random });
  return { identity: node, attested: node.start() };
}
