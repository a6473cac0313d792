import { CertificatePeers } from "../../shared/gen/certificate_service_pb.ts";
import { connect } from "../../shared/grpc_client/client.ts";
import { type ClientIdentity, fixedIdentity } from "../../shared/grpc_client/client_identity.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type Address, formatAddress } from "../../shared/text/network_address.ts";
import type { PeerClient } from "./peers.ts";

export interface PeerConnectionOptions {
  /** The name in the replicas' serving certificates. */
  readonly serverName: string;
  /** This replica's client certificate; the same object until it is made again. */
  readonly identity: () => Promise<ClientIdentity>;
  /** PEM; each replica's serving certificate leads to one of them. */
  readonly trustBundle: () => string;
  readonly clock: Clock;
}

/** A client that questions at the same time have in common. */
interface SharedClient {
  readonly identity: ClientIdentity;
  readonly client: PeerClient;
  users: number;
}

/**
 * Returns the function that connects to the replica at an address. Questions at the same time share a
 * connection, because a replica accepts few of them from another one; the last question closes it.
 */
export function peerConnections(
  { serverName, identity, trustBundle, clock }: PeerConnectionOptions,
): (address: Address) => Promise<PeerClient> {
  const clients = new Map<string, SharedClient>();
  const open = (address: Address, identity: ClientIdentity): SharedClient => ({
    identity,
    client: connect(CertificatePeers, {
      address: `https://${formatAddress(address)}`,
      serverName,
      trustBundle,
      clientIdentity: fixedIdentity(identity),
      clock,
    }),
    users: 0,
  });
  return async (address) => {
    const name = formatAddress(address);
    const own = await identity();
    const known = clients.get(name);
    const shared = known?.identity === own ? known : open(address, own);
    clients.set(name, shared);
    shared.users++;
    return {
      ...shared.client,
      [Symbol.dispose]: () => {
        if (--shared.users > 0) return;
        shared.client[Symbol.dispose]();
        if (clients.get(name) === shared) clients.delete(name);
      },
    };
  };
}
