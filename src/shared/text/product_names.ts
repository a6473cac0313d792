/** The name that pods' volumes and the CSIDriver object give this driver. */
export const driverName = "csi.k8s.cert-driver";

/** The domain of the certificate service; no policy grants a name in it. */
export const serviceDomain = "csi-cert-driver.internal";

/** The one name of the serving certificate; drivers expect no other. */
export const serverName = `cert-service.${serviceDomain}`;

/** The audience of the tokens that are meant for this service. */
export const tokenAudience = "csi-cert-service";

/** The names of the objects that deploy/base/csi-driver.yaml installs or lets the service make. */
export const installed = {
  namespace: "csi-cert-system",
  driverServiceAccount: "csi-cert-driver",
  caSecret: "csi-ca-secret",
  trustBundle: "csi-cert-trust-bundle",
  denials: "csi-cert-denials",
} as const;

/** The annotation of the CA's Secret which states that the key of the CA before it is compromised. */
export const compromisedAnnotation = "csi-cert-driver/old-key-compromised";

/** The keys of the CA's Secret that contain the CA before it, during a rotation. */
export const formerCaKeys = {
  certificate: "tls-previous.crt",
  privateKey: "tls-previous.key",
} as const;

/** The first segments of the paths of SPIFFE IDs that no pod gets: of nodes and of the service. */
export const reservedSpiffePaths = { node: "csi-cert-node", service: "csi-cert-service" } as const;

/** What the URI in a node's client certificate begins with; the node's name follows. */
export function nodeUriPrefix(trustDomain: string): string {
  return `spiffe://${trustDomain}/${reservedSpiffePaths.node}/`;
}

/** The URI in the client certificates with which the service's replicas call each other. */
export function replicaUri(trustDomain: string): string {
  return `spiffe://${trustDomain}/${reservedSpiffePaths.service}`;
}
