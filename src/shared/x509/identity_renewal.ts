/**
 * The fraction of the lifetime after which a program renews the certificate by which it identifies itself: the service's
 * serving certificate, and the driver's client certificate. It is less than for volumes' certificates (80 %), because these
 * certificates are valid for hours only, and while one of them is expired no volume can be renewed.
 */
export const identityRenewalFraction = 2 / 3;
