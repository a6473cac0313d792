import { CertificatePeers } from "../../shared/gen/certificate_service_pb.ts";
import { connect } from "../../shared/grpc_client/client.ts";
import { type ClientIdentity, fixedIdentity } from "../../shared/grpc_client/client_identity.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { type Address, formatAddress } from "../../shared/text/network_address.ts";
import { serverName } from "../../shared/text/product_names.ts";
import type { PeerClient } from "./peers.ts";

export interface PeerConnectionOptions {
  /** This replica's client certificate. */
  readonly identity: () => Promise<ClientIdentity>;
  /** PEM; each replica's serving certificate leads to one of them. */
  readonly trustBundle: () => string;
  readonly clock: Clock;
}

/** Returns the function that connects to the replica at an address, for one question. */
export function peerConnections(
  { identity, trustBundle, clock }: PeerConnectionOptions,
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
