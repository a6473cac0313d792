import { lookup } from "node:dns/promises";
import { errorMessage } from "../../shared/text/error_message.ts";
import { type Address, formatAddress } from "../../shared/text/network_address.ts";
import type { PeerDirectory } from "./peers.ts";

/** Resolves names, of which each has the addresses of one or more replicas, as a headless Service has. */
export function resolvedPeers(names: readonly Address[]): PeerDirectory {
  const name = names.map(formatAddress).join(",");
  const resolve = async ({ hostname, port }: Address) => {
    try {
      const found = await lookup(hostname, { all: true });
      return found.map(({ address }) => ({ hostname: address, port }));
    } catch (error) {
      throw new Error(`${hostname} cannot be resolved (PEERS): ${errorMessage(error)}`, {
        cause: error,
      });
    }
  };
  return { name, find: async () => distinct((await Promise.all(names.map(resolve))).flat()) };
}

function distinct(addresses: readonly Address[]): Address[] {
  return [...new Map(addresses.map((address) => [formatAddress(address), address])).values()];
}
