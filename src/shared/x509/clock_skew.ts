/**
 * How far the clocks of a node, the service and a peer may differ. The service back-dates notBefore by this, so that a new
 * certificate is valid at once everywhere, and a driver accepts a chain that becomes valid within this time.
 */
export const maxClockSkew = Temporal.Duration.from({ minutes: 5 });
