import type { Clock } from "../scheduler/clock.ts";
import type { ApiAccess } from "./api_access.ts";
import { answerOfError, answerOfStatus, type ApiAnswer, ApiTimeout } from "./api_answer.ts";
import { linesOf } from "./lines.ts";
import { type ObjectName, pathOf, type Permission } from "./permissions.ts";

/** One event of a watch, as the API server sends it. */
export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
}

/** A change of an object. */
export interface Patch {
  /** Server-side apply, or RFC 6902. JSON is YAML too. */
  readonly form: "application/apply-patch+yaml" | "application/json-patch+json";
  /** Whose the changed fields are. */
  readonly fieldManager: string;
  readonly change: unknown;
}

export interface ApiConnectionOptions {
  readonly clock: Clock;
  /** How long one call may take, in milliseconds; 5 s unless told. */
  readonly timeoutMs?: number;
}

interface KeptClient {
  readonly authorityPem: string | undefined;
  readonly certificatePem: string | undefined;
  readonly client: Deno.HttpClient;
}

/** A driver waits 20 s for its certificate, which takes at most three calls. */
const defaultTimeoutMs = 5_000;

/**
 * The way to the API server, over connections that are kept. It is asked seven things; the client
 * library that knows every call and object of Kubernetes was two thirds of the service's code, two
 * fifths of its start and 70 MiB of its memory.
 */
export class ApiConnection implements Disposable {
  readonly #access: ApiAccess;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #kept: KeptClient | undefined;

  constructor(access: ApiAccess, { clock, timeoutMs = defaultTimeoutMs }: ApiConnectionOptions) {
    this.#access = access;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Reads an object. Rejects, as every call here, only when the signal is aborted. */
  get<T>(
    permission: Permission,
    object: ObjectName,
    signal: AbortSignal,
  ): Promise<ApiAnswer<T>> {
    return this.#call(permission, pathOf(permission, object), { method: "GET" }, signal);
  }

  /** Asks for a review, which is an object that is made, answered and not kept. */
  review<T>(permission: Permission, review: unknown, signal: AbortSignal): Promise<ApiAnswer<T>> {
    const body = JSON.stringify(review);
    const headers = { "content-type": "application/json" };
    return this.#call(permission, pathOf(permission), { method: "POST", headers, body }, signal);
  }

  patch<T>(
    permission: Permission,
    object: ObjectName,
    { form, fieldManager, change }: Patch,
    signal: AbortSignal,
  ): Promise<ApiAnswer<T>> {
    const path = `${pathOf(permission, object)}?${new URLSearchParams({ fieldManager })}`;
    const body = JSON.stringify(change);
    const headers = { "content-type": form };
    return this.#call(permission, path, { method: "PATCH", headers, body }, signal);
  }

  /**
   * Opens a watch: the answer is there once the server has begun it, and its events come until the
   * server ends it, the connection breaks (the iteration throws) or the signal is aborted.
   */
  async watch(
    permission: Permission,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<ApiAnswer<AsyncIterable<WatchEvent>>> {
    const parameters = new URLSearchParams({ ...query, watch: "true" });
    const limit = this.#limited(signal);
    try {
      const response = await this.#fetch(`${pathOf(permission)}?${parameters}`, {
        signal: limit.signal,
      });
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        return answerOfStatus(response.status, permission);
      }
      return { kind: "answer", value: eventsOf(response.body, signal), created: false };
    } catch (error) {
      signal.throwIfAborted();
      return answerOfError(limit.reasonOf(error), permission);
    } finally {
      // Only the beginning has a time limit of ours.
      limit[Symbol.dispose]();
    }
  }

  async #call<T>(
    permission: Permission,
    path: string,
    init: RequestInit,
    signal: AbortSignal,
  ): Promise<ApiAnswer<T>> {
    using limit = this.#limited(signal);
    try {
      const response = await this.#fetch(path, { ...init, signal: limit.signal });
      // Read also where it is not looked at: the connection is kept.
      const text = await response.text();
      if (!response.ok) return answerOfStatus(response.status, permission);
      const value = JSON.parse(text);
      if (typeof value !== "object" || value === null) throw new SyntaxError("no object");
      return { kind: "answer", value, created: response.status === 201 };
    } catch (error) {
      signal.throwIfAborted();
      return answerOfError(limit.reasonOf(error), permission);
    }
  }

  /** A signal that is aborted with the given one, or when the time for one call is over. */
  #limited(signal: AbortSignal) {
    const late = new AbortController();
    const timeout = new ApiTimeout(this.#timeoutMs);
    const timer = this.#clock.after(this.#timeoutMs, () => late.abort(timeout));
    return {
      signal: AbortSignal.any([signal, late.signal]),
      reasonOf: (error: unknown) => late.signal.aborted ? timeout : error,
      [Symbol.dispose]: () => timer[Symbol.dispose](),
    };
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const [client, token] = await Promise.all([this.#client(), this.#access.token()]);
    const headers = new Headers(init.headers);
    headers.set("accept", "application/json");
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    // A redirect would carry the token to where nobody sent it.
    return await fetch(`${this.#access.server}${path}`, {
      ...init,
      headers,
      client,
      redirect: "error",
    });
  }

  /** The kept client, or a new one when the CA or our certificate has rotated. */
  async #client(): Promise<Deno.HttpClient> {
    const [authorityPem, identity] = await Promise.all([
      this.#access.authorityPem(),
      this.#access.identity(),
    ]);
    const certificatePem = identity?.certificatePem;
    const kept = this.#kept;
    if (kept?.authorityPem === authorityPem && kept?.certificatePem === certificatePem && kept) {
      return kept.client;
    }
    const client = Deno.createHttpClient({
      ...(authorityPem === undefined ? {} : { caCerts: [authorityPem] }),
      ...(identity ? { cert: identity.certificatePem, key: identity.privateKeyPem } : {}),
      // A call that is given up takes its connection along, so that a dead one is not used again.
      http2: false,
      // An API server closes idle ones after 90 s, and a call that meets that moment fails.
      poolIdleTimeout: 30_000,
    });
    this.#kept = { authorityPem, certificatePem, client };
    kept?.client.close();
    return client;
  }

  /** Closes the idle connections. */
  [Symbol.dispose](): void {
    this.#kept?.client.close();
    this.#kept = undefined;
  }
}

async function* eventsOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent> {
  for await (const line of linesOf(body, signal)) {
    if (line !== "") yield JSON.parse(line);
  }
}
