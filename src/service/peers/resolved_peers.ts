import { lookup } from "node:dns/promises";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { Address } from "../../shared/text/network_address.ts";
import type { PeerDirectory } from "./peers.ts";

/** Resolves names as the system does; a headless Service has the addresses of all its pods. */
export function resolvedPeers(names: readonly Address[]): PeerDirectory {
  return { names, resolve };
}

async function resolve({ hostname, port }: Address): Promise<Address[]> {
  try {
    const found = await lookup(hostname, { all: true });
    return found.map(({ address }) => ({ hostname: address, port }));
  } catch (cause) {
    const reason = errorMessage(cause);
    throw new Error(`${hostname} cannot be resolved (PEERS): ${reason}`, { cause });
  }
}
