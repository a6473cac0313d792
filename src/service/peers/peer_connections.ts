import { CertificatePeers } from "../../shared/gen/certificate_service_pb.ts";
import { connect } from "../../shared/grpc_client/client.ts";
import { type ClientIdentity, fixedIdentity } from "../../shared/grpc_client/client_identity.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type Address, formatAddress } from "../../shared/text/network_address.ts";
import type { PeerClient } from "./peers.ts";

export interface PeerConnectionOptions {
  /** The name in the replicas' serving certificates. */
  readonly serverName: string;
  /** This replica's client certificate. */
  readonly identity: () => Promise<ClientIdentity>;
  /** PEM; each replica's serving certificate leads to one of them. */
  readonly trustBundle: () => string;
  readonly clock: Clock;
}

/** Returns the function that connects to the replica at an address, for one question. */
export function peerConnections(
  { serverName, identity, trustBundle, clock }: PeerConnectionOptions,
): (address: Address) => Promise<PeerClient> {
  return async (address) =>
    connect(CertificatePeers, {
      address: `https://${formatAddress(address)}`,
      serverName,
      trustBundle,
      clientIdentity: fixedIdentity(await identity()),
      clock,
    });
}
