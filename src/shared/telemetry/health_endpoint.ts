/** Whether all is well, and the lines in which an operator reads why. */
export interface HealthStatus {
  readonly ok: boolean;
  readonly detail: string;
}

/** What is asked of the program on each request; all answer at once. */
export interface HealthChecks {
  /** Not ok: the program is to be restarted. */
  readonly live: () => HealthStatus;
  /** Not ok: the program is not to be counted on for now. */
  readonly ready: () => HealthStatus;
  /** The metrics in Prometheus' text format. */
  readonly metrics?: () => string;
}

/**
 * Serves /livez, /readyz (200 or 503) and /metrics over HTTP until disposed; port 0 lets the system
 * choose, and `port` tells. Throws when the address cannot be listened on.
 */
export function serveHealth(
  address: { readonly hostname: string; readonly port: number },
  checks: HealthChecks,
): AsyncDisposable & { readonly port: number } {
  const stop = new AbortController();
  const server = listen(address, (request) => answer(request, checks), stop.signal);
  return {
    port: server.addr.port,
    // Aborted, not shut down: that would wait for clients that never finish their request.
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await server.finished;
    },
  };
}

function listen(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  handler: (request: Request) => Response,
  signal: AbortSignal,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ hostname, port, signal, onListen: () => {} }, handler);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot serve health checks on ${hostname} port ${port}: ${reason}`, { cause });
  }
}

function answer(request: Request, { live, ready, metrics }: HealthChecks): Response {
  const { pathname } = new URL(request.url);
  const respond = pathname === "/livez"
    ? () => checked(live())
    : pathname === "/readyz"
    ? () => checked(ready())
    : pathname === "/metrics" && metrics !== undefined
    ? () => text(200, metrics(), "text/plain; version=0.0.4; charset=utf-8")
    : undefined;
  if (respond === undefined) return text(404, "not found\n");
  if (request.method !== "GET") {
    return text(405, "only GET is served here\n", plain, { allow: "GET" });
  }
  try {
    return respond();
  } catch (error) {
    return text(503, `failed to look: ${error instanceof Error ? error.message : error}\n`);
  }
}

function checked({ ok, detail }: HealthStatus): Response {
  return text(ok ? 200 : 503, `${ok ? "ok" : "not ok"}\n${detail}\n`);
}

const plain = "text/plain; charset=utf-8";

function text(status: number, body: string, type = plain, headers = {}): Response {
  return new Response(body, {
    status,
    headers: { "content-type": type, "cache-control": "no-store", ...headers },
  });
}
