import { errorMessage } from "../text/error_message.ts";
import { formatAddress, type ListenAddress } from "../text/network_address.ts";

/** Logs a line: its message, in which a word in braces is a property, and the properties. */
type Log = (message: string, properties: Readonly<Record<string, unknown>>) => void;

/** The part of `Deno.listen` that is used here. */
type Listen = (address: { hostname: string; port: number }) => { close(): void };

/**
 * Returns where to listen: on the host of the address, or on 0.0.0.0 where the variable is unset and
 * the machine has no IPv6, which it logs. Throws for a host on which this machine cannot listen:
 * node:net reports that as an invalid argument (last seen in Deno 2.9.6).
 */
export function usableAddress(
  address: ListenAddress,
  log: Log,
  listen: Listen = Deno.listen,
): ListenAddress {
  const { hostname, variable, isDefault = false } = address;
  try {
    listen({ hostname, port: 0 }).close();
    return address;
  } catch (error) {
    if (!isDefault || hostname !== "::" || !lacksFamily(error)) throw listenError(address, error);
    const ipv4 = { ...address, hostname: "0.0.0.0" };
    log("this machine has no IPv6, and {variable} is unset: listening on {address}", {
      variable,
      address: formatAddress(ipv4),
    });
    return ipv4;
  }
}

/** The error of a listener; it names the variable that states the address. */
export function listenError(address: ListenAddress, cause: unknown): Error {
  const { variable } = address;
  const source = variable === undefined ? "" : ` (${variable})`;
  const place = `${formatAddress(address)}${source}`;
  return new Error(`cannot listen on ${place}: ${errorMessage(cause)}`, { cause });
}

/** Deno has no class for EAFNOSUPPORT, which a kernel without IPv6 answers. */
function lacksFamily(error: unknown): boolean {
  return error instanceof Error && "code" in error &&
    (error.code === "EAFNOSUPPORT" || error.code === "EADDRNOTAVAIL");
}
