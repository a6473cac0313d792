import { encodePem } from "../../shared/crypto/pem.ts";
import { ownCertificates } from "../api/own_certificates.ts";
import { ReplicaIdentity } from "../issuing/replica_identity.ts";
import { AllReplicas } from "../peers/all_replicas.ts";
import { peerConnections } from "../peers/peer_connections.ts";
import { Peers } from "../peers/peers.ts";
import { resolvedPeers } from "../peers/resolved_peers.ts";
import type { ServiceConfig } from "./config.ts";
import type { ServiceParts } from "./open_parts.ts";

/** The inventory of all replicas, and what this one answers when another asks. */
export function openReplicas(
  { peers: names, servingName, trustDomain }: ServiceConfig,
  { open, attestation }: Pick<ServiceParts, "open" | "attestation">,
) {
  const { currentCa, clock, engine } = open;
  const own = ownCertificates(open);
  if (attestation === undefined) return { replicas: new AllReplicas(own, undefined) };
  const replica = crypto.randomUUID();
  const { nodeCas } = attestation;
  const identity = new ReplicaIdentity({ nodeCas, trustDomain, clock, engine }, replica);
  const connect = peerConnections({
    serverName: servingName,
    identity: () => identity.current(),
    trustBundle: () => currentCa.anchors.map(({ der }) => encodePem("CERTIFICATE", der)).join(""),
    clock,
  });
  const peers = names && new Peers({ replica, directory: resolvedPeers(names), connect, clock });
  return { replicas: new AllReplicas(own, peers), answering: { replica, own } };
}
