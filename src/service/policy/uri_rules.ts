import { parseUri } from "../../shared/text/name_syntax.ts";
import { reservedSpiffePaths } from "../../shared/text/product_names.ts";

export function isSpiffeId(uri: string): boolean {
  return uri.startsWith("spiffe:");
}

/**
 * Why no policy can grant a URI, in words that follow the URI; undefined when a policy could. Nodes
 * and the service have such URIs in the cluster's trust domain, and in that of another cluster under
 * the same root.
 */
export function reservedUriReason(uri: string): string | undefined {
  const [scheme, , , segment] = uri.split("/");
  if (scheme !== "spiffe:") return undefined;
  if (segment === reservedSpiffePaths.node) return "names a node";
  if (segment === reservedSpiffePaths.service) return "names the certificate service";
  return undefined;
}

/**
 * Whether a URI matches a pattern segment by segment. "*" in the pattern matches exactly one
 * segment, which has no query and no escaped byte, and is neither "." nor "..".
 */
export function matchesUriPattern(uri: string, pattern: string): boolean {
  const [segments, patterns] = [uri.split("/"), pattern.split("/")];
  return segments.length === patterns.length && patterns.every((part, at) => {
    const segment = segments[at] ?? "";
    return part === "*" ? isPlainSegment(segment) : part === segment;
  });
}

/** Reads a pattern of `matchesUriPattern`: a URI in which "*" can replace whole segments of the path. */
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
