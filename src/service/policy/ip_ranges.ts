import { parseIpAddress } from "../../shared/text/name_syntax.ts";

/** A CIDR range. */
export interface IpRange {
  readonly bits: bigint;
  /** 32 or 128. */
  readonly width: number;
  readonly prefixLength: number;
}

/** Reads "10.0.0.0/8" or "fd00::/8"; undefined for anything else, also for bits after the prefix. */
export function parseIpRange(text: string): IpRange | undefined {
  const [, address = "", length = ""] = /^([0-9A-Fa-f:.]+)\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
  const canonical = parseIpAddress(address);
  // An IPv4-mapped address becomes an IPv4 address, whose prefix would begin at another bit.
  if (canonical === undefined || canonical.includes(":") !== address.includes(":")) {
    return undefined;
  }
  const { bits, width } = addressBits(canonical);
  const prefixLength = Number(length);
  if (prefixLength > width) return undefined;
  const range = { bits, width, prefixLength };
  return networkOf(bits, range) === bits ? range : undefined;
}

/** Whether an address, in canonical text, is in the range. */
export function rangeContains(range: IpRange, address: string): boolean {
  const { bits, width } = addressBits(address);
  return width === range.width && networkOf(bits, range) === range.bits;
}

function networkOf(bits: bigint, { width, prefixLength }: IpRange): bigint {
  const hostBits = BigInt(width - prefixLength);
  return (bits >> hostBits) << hostBits;
}

function addressBits(canonical: string): { bits: bigint; width: number } {
  if (!canonical.includes(":")) {
    return { bits: join(canonical.split(".").map(Number), 8n), width: 32 };
  }
  const [head = "", tail] = canonical.split("::");
  const groups = (text: string) =>
    text === "" ? [] : text.split(":").map((group) => parseInt(group, 16));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  return { bits: join([...before, ...zeros, ...after], 16n), width: 128 };
}

function join(parts: readonly number[], width: bigint): bigint {
  return parts.reduce((bits, part) => (bits << width) | BigInt(part), 0n);
}
