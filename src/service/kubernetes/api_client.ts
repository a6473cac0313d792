/**
 * This folder calls the cluster's API server: the client, watches, the permissions that the service
 * needs, and the adapters for the ports of `service/access`, `service/attestation`, `service/ca` and
 * `service/documents`. Its main types are `ApiClient`, `ApiResult`, `Permission` and `Cluster`. Only
 * `service/program` imports it, on demand, because the Kubernetes client takes 84 MB. It never quotes
 * a Secret or a token in a log or an error.
 */

import {
  AuthenticationV1Api,
  CoreV1Api,
  createConfiguration,
  type RequestContext,
  ResponseContext,
  ServerConfiguration,
  wrapHttpLibrary,
} from "@kubernetes/client-node";
import { readTrustAnchors } from "../../shared/grpc_client/trust_anchors.ts";
import { onAbort } from "../../shared/scheduler/abort_signals.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { ApiConnections, type ApiRequest } from "./api_connections.ts";
import type { ApiCredentials } from "./api_credentials.ts";
import {
  type ApiResult,
  ApiTimeoutError,
  resultOfError,
  resultOfStatus,
  unavailable,
} from "./api_result.ts";
import { type AnswerBody, readAtMost, readLines } from "./line_stream.ts";
import { describeCall, type PathPermission, type Permission } from "./permissions.ts";

/** The parts of the API that the service calls. */
export interface Apis {
  readonly core: CoreV1Api;
  readonly authentication: AuthenticationV1Api;
}

/** One event of a watch, as the API server sends it. */
export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
}

interface OpenConnections {
  readonly caPem: string;
  readonly certificatePem: string | undefined;
  readonly connections: ApiConnections;
}

/** More than any answer: etcd stores objects of at most 1.5 MiB, and lists are of one node's pods. */
const maxAnswerBytes = 16 * 1024 * 1024;

/** A driver waits 20 s for its certificate, which costs at most three calls. */
const timeoutMs = 5_000;

/**
 * Calls the API server with the Kubernetes client's types and paths, over connections that are used
 * again. The client's own transport opens a TLS connection for each call, and its watch does not
 * report an abort.
 */
export class ApiClient implements Disposable {
  readonly #credentials: ApiCredentials;
  readonly #clock: Clock;
  #open: OpenConnections | undefined;

  constructor(credentials: ApiCredentials, { clock }: { readonly clock: Clock }) {
    this.#credentials = credentials;
    this.#clock = clock;
  }

  /** Makes one call. Rejects only when the signal is aborted. */
  async call<T>(
    permission: Permission,
    signal: AbortSignal,
    run: (apis: Apis) => Promise<T>,
  ): Promise<ApiResult<T>> {
    using limit = this.#limited(signal);
    try {
      return { kind: "answer", value: await run(this.#apis(limit.signal)) };
    } catch (error) {
      signal.throwIfAborted();
      return resultOfError(limit.reasonOf(error), permission);
    }
  }

  /**
   * Opens a watch. Resolves when the server has answered; the events follow until the server ends the
   * watch, the connection fails (the iteration throws) or the signal is aborted.
   */
  async watch(
    permission: Permission,
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<ApiResult<AsyncIterable<WatchEvent>>> {
    const parameters = new URLSearchParams({ ...query, watch: "true" });
    const url = `${this.#credentials.server}${path}?${parameters}`;
    const limit = this.#limited(signal);
    try {
      const response = await this.#exchange(url, { method: "GET", headers: {} }, limit.signal);
      const { statusCode = 0 } = response;
      if (statusCode !== 200) {
        response.destroy();
        return resultOfStatus(statusCode, permission);
      }
      // Also where the caller never reads the events.
      const closing = onAbort(signal, () => response.destroy());
      response.once("close", () => closing[Symbol.dispose]());
      return { kind: "answer", value: eventsOf(response, signal) };
    } catch (error) {
      signal.throwIfAborted();
      return resultOfError(limit.reasonOf(error), permission);
    } finally {
      // The time limit ends with the answer; the events have none.
      limit[Symbol.dispose]();
    }
  }

  /** Reads a text that is not an object of the API. Rejects only when the signal is aborted. */
  async readText(
    permission: PathPermission,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<ApiResult<string>> {
    const url = this.#credentials.server + permission.nonResourcePath;
    using limit = this.#limited(signal);
    try {
      const response = await this.#exchange(url, { method: "GET", headers: {} }, limit.signal);
      const { statusCode = 0 } = response;
      if (statusCode !== 200) {
        response.destroy();
        return resultOfStatus(statusCode, permission);
      }
      const bytes = await readAtMost(response, maxBytes, limit.signal);
      if (bytes === undefined) {
        const problem = `${describeCall(permission)}: the answer has more than ${maxBytes} bytes`;
        return unavailable(problem);
      }
      return { kind: "answer", value: new TextDecoder().decode(bytes) };
    } catch (error) {
      signal.throwIfAborted();
      return resultOfError(limit.reasonOf(error), permission);
    }
  }

  /** A signal that is aborted with the given one, or when the time limit of one call has expired. */
  #limited(signal: AbortSignal) {
    const late = new AbortController();
    const timeout = new ApiTimeoutError(timeoutMs);
    const timer = this.#clock.after(timeoutMs, () => late.abort(timeout));
    return {
      signal: AbortSignal.any([signal, late.signal]),
      reasonOf: (error: unknown) => late.signal.aborted ? timeout : error,
      [Symbol.dispose]: () => timer[Symbol.dispose](),
    };
  }

  #apis(signal: AbortSignal): Apis {
    const configuration = createConfiguration({
      baseServer: new ServerConfiguration(this.#credentials.server, {}),
      httpApi: wrapHttpLibrary({ send: (request) => this.#send(request, signal) }),
    });
    return {
      core: new CoreV1Api(configuration),
      authentication: new AuthenticationV1Api(configuration),
    };
  }

  async #send(request: RequestContext, signal: AbortSignal): Promise<ResponseContext> {
    const given = request.getBody();
    const body = typeof given === "string" ? given : undefined;
    const method = request.getHttpMethod().toString();
    const call = { method, headers: request.getHeaders(), body };
    const response = await this.#exchange(request.getUrl(), call, signal);
    const bytes = await readAtMost(response, maxAnswerBytes, signal);
    if (bytes === undefined) throw new Error(`the answer has more than ${maxAnswerBytes} bytes`);
    const text = new TextDecoder().decode(bytes);
    const headers = Object.entries(response.headers).map(([name, value]) => [name, `${value}`]);
    return new ResponseContext(response.statusCode ?? 0, Object.fromEntries(headers), {
      text: () => Promise.resolve(text),
      binary: () => Promise.resolve(Buffer.from(bytes)),
      stream: () => null,
    });
  }

  async #exchange(url: string, call: ApiRequest, signal: AbortSignal) {
    const [connections, token] = await Promise.all([
      this.#connections(),
      this.#credentials.token(),
    ]);
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return await connections.send(
      url,
      { ...call, headers: { ...call.headers, ...authorization } },
      signal,
    );
  }

  /** The open connections, or new ones when the CA or the service's certificate has changed. */
  async #connections(): Promise<ApiConnections> {
    const [caPem, identity] = await Promise.all([
      this.#credentials.caPem(),
      this.#credentials.identity(),
    ]);
    const certificatePem = identity?.certificatePem;
    const open = this.#open;
    if (open && open.caPem === caPem && open.certificatePem === certificatePem) {
      return open.connections;
    }
    const trustAnchors = readTrustAnchors(caPem, "the CA of the API server");
    const connections = new ApiConnections({ trustAnchors, identity });
    this.#open = { caPem, certificatePem, connections };
    open?.connections[Symbol.dispose]();
    return connections;
  }

  /** Closes the idle connections. */
  [Symbol.dispose](): void {
    this.#open?.connections[Symbol.dispose]();
    this.#open = undefined;
  }
}

async function* eventsOf(
  body: AnswerBody,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent> {
  for await (const line of readLines(body, signal)) {
    if (line !== "") yield parseEvent(line);
  }
}

/** The parser's own error would quote the line, which can contain a Secret. */
function parseEvent(line: string): WatchEvent {
  try {
    return JSON.parse(line);
  } catch {
    throw new Error("a line of the watch is not JSON");
  }
}
