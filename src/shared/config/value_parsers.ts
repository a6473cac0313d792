import { maxSocketDirectoryBytes, maxSocketPathBytes } from "../text/limits.ts";
import { type Address, formatAddress } from "../text/network_address.ts";
import { hasUnprintable } from "../text/printable_text.ts";
import { maxCommonNameLength, parseDnsName, parseIpAddress } from "../text/name_syntax.ts";

/** A reader of one of some words. */
export function oneOf<const W extends string>(...words: W[]) {
  return (text: string): W | undefined => words.find((word) => word === text);
}

/** A reader of one word for true and one for false. */
export function booleanWord(yes: string, no: string) {
  return (text: string): boolean | undefined =>
    text === yes ? true : text === no ? false : undefined;
}

/** An absolute path without "." or "..", without a slash at its end, of at most `bytes` bytes. */
export function absolutePath(bytes = 4095) {
  return (text: string): string | undefined => {
    const path = text.replace(/(?<=[^/])\/+$/, "");
    if (!path.startsWith("/") || path.endsWith("/") || hasUnprintable(path)) return undefined;
    if (path.split("/").some((part) => part === "." || part === "..")) return undefined;
    return utf8Length(path) <= bytes ? path : undefined;
  };
}

/** Completes "expected …" for the path of a socket that a program serves. */
export const servedPathLimits =
  `of at most ${maxSocketPathBytes} bytes, in a directory of at most ${maxSocketDirectoryBytes}`;

/** Whether a socket can be served at a path: the name at which it listens first has to fit too. */
export function isServedPath(path: string): boolean {
  const directory = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  return utf8Length(path) <= maxSocketPathBytes && utf8Length(directory) <= maxSocketDirectoryBytes;
}

/** The path in "unix:///csi/csi.sock", "unix://csi.sock" (from the working directory) or "/csi.sock". */
export function parseSocketPath(text: string): string | undefined {
  const path = text.startsWith("unix://") ? text.slice("unix://".length) : text;
  if (path === text && !path.startsWith("/")) return undefined;
  if (path === "" || path.endsWith("/") || path.endsWith("/..") || hasUnprintable(path)) {
    return undefined;
  }
  return isServedPath(path) ? path : undefined;
}

const hostAndPort = /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,254}):([0-9]{1,5})$/;

/** "[::]:50051", "0.0.0.0:50051" or "name:50051"; port 0 lets the system choose. */
export function parseAddress(text: string): Address | undefined {
  const [, host = "", digits = ""] = hostAndPort.exec(text) ?? [];
  const hostname = host.startsWith("[")
    ? parseIpAddress(host.slice(1, -1))
    : parseIpAddress(host) ?? parseDnsName(host.toLowerCase());
  const port = Number(digits);
  return hostname === undefined || port > 65535 ? undefined : { hostname, port };
}

/** "https://host:port" or "http://host:port"; the port is 50051 where it is left out. */
export function parseServiceUrl(text: string): string | undefined {
  const [, scheme, rest = ""] = /^(https?):\/\/([^/]+)\/?$/.exec(text) ?? [];
  if (scheme === undefined) return undefined;
  const address = parseAddress(/:[0-9]+$/.test(rest) ? rest : `${rest}:50051`);
  return address === undefined || address.port === 0
    ? undefined
    : `${scheme}://${formatAddress(address)}`;
}

/** UTF-8 bytes, which is what the kernel and the CSI specification count. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** A name for the service's certificate: never one that clients expect of another server. */
export function parseServingName(text: string): string | undefined {
  const isOther = /(?:^|\.)localhost$|^kubernetes\.default(?:\.|$)/.test(text);
  const isShort = text.length <= maxCommonNameLength && text.includes(".");
  return isShort && !isOther ? parseDnsName(text) : undefined;
}
