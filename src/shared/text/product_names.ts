/** The name that pods' volumes and the CSIDriver object give this driver. */
export const driverName = "csi.k8s.cert-driver";

/** The one name of the serving certificate; no policy grants it, and drivers expect no other. */
export const serverName = "cert-service.csi-cert-driver.internal";

/** The audience of the tokens that are meant for this service. */
export const tokenAudience = "csi-cert-service";
