import { parseUri } from "../../shared/text/name_syntax.ts";

/** The pod's own SPIFFE ID: its service account's, in the cluster as the trust domain. */
export function podSpiffeId(
  pod: { readonly namespace: string; readonly serviceAccountName: string },
  clusterDomain: string,
): string {
  return `spiffe://${clusterDomain}/ns/${pod.namespace}/sa/${pod.serviceAccountName}`;
}

export function isSpiffeId(uri: string): boolean {
  return uri.startsWith("spiffe:");
}

/** Whether a URI names one of the cluster's nodes, which no policy can let a pod do. */
export function isNodeUri(uri: string, clusterDomain: string): boolean {
  return `${uri}/`.startsWith(`spiffe://${clusterDomain}/csi-cert-node/`);
}

/**
 * Whether a URI fits a pattern segment by segment; "*" in the pattern is exactly one segment, that
 * neither holds a query or an escaped octet nor steps to another.
 */
export function matchesUriPattern(uri: string, pattern: string): boolean {
  const [segments, patterns] = [uri.split("/"), pattern.split("/")];
  return segments.length === patterns.length && patterns.every((part, at) => {
    const segment = segments[at] ?? "";
    return part === "*" ? isPlainSegment(segment) : part === segment;
  });
}

/** A pattern that matchesSegments takes, or undefined: a URI with "*" for whole segments of its path. */
export function parseUriPattern(text: string): string | undefined {
  const [scheme = "", empty, host, ...path] = text.split("/");
  if (!text.includes("*")) return parseUri(text);
  if (!scheme.endsWith(":") || empty !== "" || host === undefined) return undefined;
  if (path.some((segment) => segment !== "*" && segment.includes("*"))) return undefined;
  const sample = [scheme, empty, host, ...path.map((segment) => segment === "*" ? "x" : segment)];
  return host.includes("*") || parseUri(sample.join("/")) === undefined ? undefined : text;
}

function isPlainSegment(segment: string): boolean {
  return /^[^%?]+$/.test(segment) && segment !== "." && segment !== "..";
}
