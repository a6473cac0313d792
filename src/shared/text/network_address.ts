/** Where a TCP port is. */
export interface Address {
  /** A DNS name or an IP address, IPv6 without brackets. */
  readonly hostname: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** Where a program listens. */
export interface ListenAddress extends Address {
  /** The environment variable that states the address. */
  readonly variable?: string | undefined;
  /** Whether that variable is unset, so that another host may replace this one. */
  readonly isDefault?: boolean | undefined;
}

/** An address as "host:port", IPv6 in brackets. */
export function formatAddress({ hostname, port }: Address): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
