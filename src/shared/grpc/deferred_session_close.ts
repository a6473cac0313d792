import http2 from "node:http2";

type End = (this: unknown, ...args: unknown[]) => void;
type Ends = Record<"close" | "destroy", End>;

const changed = new WeakSet<Ends>();

/**
 * Makes every HTTP/2 session of this program close one iteration of the event loop later than requested.
 *
 * Deno 2.9's node:http2 reports a peer's GOAWAY from within nghttp2's reading, and closes the session in that very
 * call: that sends, and frees, what is being read. nghttp2 forbids it, and the process dies of an assertion or of
 * memory that was freed, on either side, now and then, of nothing more than a peer that closes its connection
 * (denoland/deno#36788).
 */
export function deferSessionClose(): void {
  const { Http2Session } = http2 as { Http2Session?: { prototype: Ends } };
  // Node, which has no such export, defers by itself.
  if (Http2Session === undefined || changed.has(Http2Session.prototype)) return;
  const { prototype } = Http2Session;
  changed.add(prototype);
  for (const name of ["close", "destroy"] as const) {
    const end = prototype[name];
    prototype[name] = function (...args) {
      setImmediate(() => end.apply(this, args));
    };
  }
}
