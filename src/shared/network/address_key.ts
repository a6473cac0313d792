import { parseIpAddress } from "../text/name_syntax.ts";

/** A peer's address as logs show it: an IPv4 address in its IPv6-mapped form is the IPv4 address. */
export function plainAddress(address: string): string {
  return parseIpAddress(address) ?? address;
}

/**
 * What counts as one address: an IPv4 address, also in its IPv6-mapped form, or the first 64 bits of
 * an IPv6 address, because a host can use all addresses that share them.
 */
export function addressKey(address: string): string {
  const ip = parseIpAddress(address.split("%")[0] ?? "");
  if (ip === undefined || !ip.includes(":")) return ip ?? address;
  const [left = [], right = []] = ip.split("::").map((part) => part === "" ? [] : part.split(":"));
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return `${[...left, ...zeros, ...right].slice(0, 4).join(":")}::/64`;
}
