import type { HttpAnswer } from "../http/http_answer.ts";
import { listenError } from "../network/listen_address.ts";
import { serveRequests } from "../http/request_loop.ts";
import type { HttpRejection } from "../http/request_reader.ts";
import type { Clock } from "../scheduler/clock.ts";
import { systemClock } from "../scheduler/system_clock.ts";
import { errorMessage } from "../text/error_message.ts";
import type { ListenAddress } from "../text/network_address.ts";

/** The result of a check, and the lines from which an operator learns why. */
export interface HealthStatus {
  readonly ok: boolean;
  readonly detail: string;
}

/** The checks that a request runs; each returns at once. */
export interface HealthChecks {
  /** Not ok: the program has to be restarted. */
  readonly live: () => HealthStatus;
  /** Not ok: the program cannot do its work now. */
  readonly ready: () => HealthStatus;
  /** The metrics in Prometheus' text format. */
  readonly metrics?: () => string;
}

/** Kubelets and Prometheus send a few hundred bytes at once, each from an address of its own. */
const limits = {
  maxBytes: 8 * 1024,
  caps: { total: 128, perAddress: 32 },
  deadlineMs: 5_000,
} as const;

/**
 * Serves /livez, /readyz (200 or 503) and /metrics over HTTP/1.1 until disposed, one request per
 * connection; port 0 lets the system choose, and `port` is the result. Throws when the address
 * cannot be listened on.
 */
export function serveHealth(
  address: ListenAddress,
  checks: HealthChecks,
  clock: Clock = systemClock,
): AsyncDisposable & { readonly port: number; readonly connections: number } {
  const listener = listen(address);
  const server = serveRequests({
    ...limits,
    listener,
    clock,
    answer: ({ method, target }) => answer(method, target, checks),
    reject: ({ status, reason }: HttpRejection) => text(status, `${reason}\n`),
  });
  return {
    port: listener.addr.port,
    get connections() {
      return server.connections;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function listen(address: ListenAddress) {
  try {
    return Deno.listen({ hostname: address.hostname, port: address.port });
  } catch (error) {
    throw listenError(address, error);
  }
}

function answer(method: string, target: string, checks: HealthChecks): HttpAnswer {
  const { live, ready, metrics } = checks;
  const [path] = target.split("?", 1);
  const respond = path === "/livez"
    ? () => checked(live())
    : path === "/readyz"
    ? () => checked(ready())
    : path === "/metrics" && metrics !== undefined
    ? () => text(200, metrics(), "text/plain; version=0.0.4; charset=utf-8")
    : undefined;
  if (respond === undefined) return text(404, "not found\n");
  if (method !== "GET" && method !== "HEAD") {
    return { ...text(405, "only GET and HEAD are served here\n"), fields: { Allow: "GET, HEAD" } };
  }
  try {
    return respond();
  } catch (error) {
    return text(503, `the check failed: ${errorMessage(error)}\n`);
  }
}

function checked({ ok, detail }: HealthStatus): HttpAnswer {
  return text(ok ? 200 : 503, `${ok ? "ok" : "not ok"}\n${detail}\n`);
}

function text(
  status: HttpAnswer["status"],
  body: string,
  contentType = "text/plain; charset=utf-8",
): HttpAnswer {
  return { status, contentType, body };
}
