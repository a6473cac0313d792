import { isIP } from "node:net";

/** An address as grpc-js expects it. */
export interface ClientTarget {
  readonly target: string;
  readonly tls: boolean;
  /** Whether it is a unix socket, whose server runs on the same node and is trusted. */
  readonly local: boolean;
  /** Whether the host is an IP address, not a name. */
  readonly numeric: boolean;
}

/** Reads "unix:///path/to.sock", "https://host:port" or "http://host:port"; throws a TypeError for anything else. */
export function parseTarget(address: string): ClientTarget {
  const path = /^unix:\/\/(\/[^?#]+)$/.exec(address)?.[1];
  if (path !== undefined) {
    return { target: `unix:${path}`, tls: false, local: true, numeric: false };
  }
  const url = URL.parse(address);
  const scheme = url?.protocol;
  const plain = url !== null && url.pathname === "/" && url.search === "" && url.hash === "" &&
    url.username === "" && url.password === "" && url.hostname !== "";
  if (!plain || (scheme !== "https:" && scheme !== "http:")) {
    throw new TypeError(
      `${JSON.stringify(address)} is not an address: ` +
        "give unix:///path/to.sock, https://host:port or http://host:port, and nothing after it",
    );
  }
  const port = url.port !== "" ? url.port : scheme === "https:" ? "443" : "80";
  const numeric = isIP(url.hostname.replace(/^\[(.*)\]$/, "$1")) !== 0;
  return { target: `dns:${url.hostname}:${port}`, tls: scheme === "https:", local: false, numeric };
}
