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
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { ApiCredentials } from "./api_credentials.ts";
import {
  type ApiResult,
  ApiTimeoutError,
  resultOfError,
  resultOfStatus,
  unavailable,
} from "./api_result.ts";
import { readAtMost, readLines } from "./line_stream.ts";
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

interface OpenClient {
  readonly caPem: string | undefined;
  readonly certificatePem: string | undefined;
  readonly client: Deno.HttpClient;
}

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
  #open: OpenClient | undefined;

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
      const response = await this.#fetch(url, { signal: limit.signal });
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        return resultOfStatus(response.status, permission);
      }
      return { kind: "answer", value: eventsOf(response.body, signal) };
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
      const response = await this.#fetch(url, { signal: limit.signal });
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        return resultOfStatus(response.status, permission);
      }
      const bytes = await readAtMost(response.body, maxBytes, limit.signal);
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
    const body = request.getBody();
    const response = await this.#fetch(request.getUrl(), {
      method: request.getHttpMethod(),
      headers: request.getHeaders(),
      signal,
      ...(typeof body === "string" ? { body } : {}),
    });
    const text = await response.text();
    const headers = Object.fromEntries(response.headers);
    return new ResponseContext(response.status, headers, {
      text: () => Promise.resolve(text),
      binary: () => Promise.resolve(Buffer.from(text)),
      stream: () => null,
    });
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const [client, token] = await Promise.all([this.#client(), this.#credentials.token()]);
    const headers = new Headers(init.headers);
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    // A redirect would carry the token to another server.
    return await fetch(url, { ...init, headers, client, redirect: "error" });
  }

  /** The open client, or a new one when the CA or the service's certificate has changed. */
  async #client(): Promise<Deno.HttpClient> {
    const [caPem, identity] = await Promise.all([
      this.#credentials.caPem(),
      this.#credentials.identity(),
    ]);
    const certificatePem = identity?.certificatePem;
    const open = this.#open;
    if (open?.caPem === caPem && open?.certificatePem === certificatePem && open) {
      return open.client;
    }
    const client = Deno.createHttpClient({
      ...(caPem === undefined ? {} : { caCerts: [caPem] }),
      ...(identity ? { cert: identity.certificatePem, key: identity.privateKeyPem } : {}),
      // With HTTP/1.1 an aborted call closes its connection, so that a dead one is not used again.
      http2: false,
      // An API server closes idle connections after 90 s, and a call at that moment would fail.
      poolIdleTimeout: 30_000,
    });
    this.#open = { caPem, certificatePem, client };
    open?.client.close();
    return client;
  }

  /** Closes the idle connections. */
  [Symbol.dispose](): void {
    this.#open?.client.close();
    this.#open = undefined;
  }
}

async function* eventsOf(
  body: ReadableStream<Uint8Array>,
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
