import { ApiObjects, type GivenObject } from "./api_objects.ts";
import { json, readCall, status, type Target } from "./api_requests.ts";
import { ApiTokens, type ReviewRequest } from "./api_tokens.ts";
import { ApiWatches } from "./api_watches.ts";
import { serveHttps } from "./https_server.ts";
import { TestCa } from "./test_ca.ts";
import { formatAddress } from "../../src/shared/text/network_address.ts";

/** One call that was made. */
export interface ApiCall {
  readonly method: string;
  /** "create tokenreviews", "get pods shop/web-0", "watch secrets csi-cert-system/csi-ca-secret". */
  readonly text: string;
  readonly query: URLSearchParams;
  readonly token: string | undefined;
  /** The connection's port at the caller. */
  readonly port: number;
}

/** A rule of a role, for one verb. */
export interface ApiRule {
  readonly resource: string;
  readonly verb: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** How a call fails: with a status, a redirect, no answer, or a connection that is cut. */
export type Fault =
  | number
  | { readonly code: number; readonly message: string }
  | { readonly location: string }
  | "hang"
  | "cut"
  | "nonsense";

type Answer = Response | Promise<Response>;

/** An API server for tests: HTTPS, the JSON of the real one, and faults when a test requests them. */
export class ApiServer implements AsyncDisposable {
  readonly objects = new ApiObjects();
  readonly tokens = new ApiTokens();
  readonly calls: ApiCall[] = [];
  /** The tokens that are accepted as the service's own. */
  readonly accounts = new Set(["service-token"]);
  /** What the service's role grants; undefined: everything. */
  rules: readonly ApiRule[] | undefined;
  /** Beginnings of calls' texts that RBAC does not allow in spite of that. */
  readonly forbidden = new Set<string>();
  /** How many calls are being answered. */
  answering = 0;
  mostAnswering = 0;
  /** The next failures, as `fail` adds them. */
  readonly faults: { text: string; fault: Fault; times: number }[] = [];
  readonly #hanging = new Set<() => void>();
  readonly #watches = new ApiWatches(this.objects);
  readonly #ca: TestCa;
  #server: (AsyncDisposable & { port: number }) | undefined;
  readonly #hostname: string;
  #port = 0;

  private constructor(ca: TestCa, hostname: string) {
    this.#ca = ca;
    this.#hostname = hostname;
  }

  /** Serves on a loopback address, 127.0.0.1 unless given. */
  static async start(
    { hostname = "127.0.0.1", ...options }: { hostname?: string; plaintext?: boolean } = {},
  ): Promise<ApiServer> {
    const server = new ApiServer(await TestCa.create("API server CA"), hostname);
    await server.listen(options);
    return server;
  }

  get url(): string {
    return `https://${formatAddress({ hostname: this.#hostname, port: this.#port })}`;
  }

  get port(): number {
    return this.#port;
  }

  get authorityPem(): string {
    return this.#ca.certificatePem;
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  /** Begins to serve, on the port of before if there was one. */
  async listen({ plaintext = false } = {}): Promise<void> {
    const pair = await this.#ca.issue(this.#hostname, "localhost");
    const tls = { cert: pair.certificatePem, key: pair.privateKeyPem };
    this.#server = await serveHttps({
      hostname: this.#hostname,
      port: this.#port,
      tls: plaintext ? undefined : tls,
      answer: (request, callerPort) => this.#answer(request, callerPort),
    });
    this.#port = this.#server.port;
  }

  /** Stops: no process listens on the port. */
  async stop(): Promise<void> {
    this.release();
    this.disconnect();
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** Makes the next calls whose text has this prefix fail. */
  fail(text: string, fault: Fault, times = 1): void {
    this.faults.push({ text, fault, times });
  }

  /** Ends what hangs. */
  release(): void {
    for (const end of this.#hanging) end();
    this.#hanging.clear();
  }

  /** Cuts all watches in the middle of a line. */
  disconnect(): void {
    this.#watches.disconnect();
  }

  /** Sends a line to all watches: a bookmark, an error, nonsense. */
  send(line: string): void {
    this.#watches.send(line);
  }

  /** How many calls there were whose text begins so. */
  count(text = ""): number {
    return this.calls.filter((call) => call.text.startsWith(text)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #answer(request: Request, port: number): Promise<Response> {
    this.mostAnswering = Math.max(this.mostAnswering, ++this.answering);
    try {
      const call = readCall(request);
      const { target, verb, text, query, isWatch } = call;
      const [, token] = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "") ?? [];
      this.calls.push({ method: request.method, text, query, token, port });
      const body = request.body === null ? undefined : await request.json();
      const fault = this.#takeFault(text);
      if (fault !== undefined) return await this.#failure(fault);
      if (token === undefined || !this.accounts.has(token)) return status(401, "Unauthorized");
      if ([...this.forbidden].some((start) => text.startsWith(start))) {
        return status(403, "Forbidden");
      }
      if (call.isKeySet) return Response.json(this.tokens.keySet());
      if (target === undefined) return status(404, "NotFound");
      if (!this.#mayCall(verb, target)) return status(403, "Forbidden");
      if (isWatch) return this.#watches.open(target, target.name ?? "", query);
      if (call.isList) {
        const { resource, namespace = "" } = target;
        const items = this.objects.list(resource, namespace, query.get("fieldSelector"));
        return Response.json({ apiVersion: "v1", kind: "List", metadata: {}, items });
      }
      return await this.#call(request, target, query, body);
    } finally {
      this.answering--;
    }
  }

  /** As RBAC: the names in rules are the whole names, and what applies to nothing has to be created. */
  #mayCall(verb: string, { resource, namespace, name }: Target): boolean {
    const isMade = verb === "patch" &&
      this.objects.get(resource, namespace ?? "", name ?? "") === undefined;
    const granted = (verb: string) =>
      this.rules?.some((rule) =>
        rule.verb === verb && rule.resource === resource &&
        (rule.namespace ?? namespace) === namespace && (rule.name ?? name) === name
      ) ?? true;
    return granted(verb) && (!isMade || granted("create"));
  }

  #call(request: Request, target: Target, query: URLSearchParams, body: unknown): Answer {
    const { resource, namespace = "", name = "" } = target;
    if (resource === "tokenreviews") {
      const reviewed = this.tokens.review(body as ReviewRequest, Temporal.Now.instant());
      return Response.json({ ...(body as object), status: reviewed }, { status: 201 });
    }
    if (request.method === "PATCH") return this.#patch(request, target, query, body);
    const found = this.objects.get(resource, namespace, name);
    return found === undefined ? status(404, "NotFound") : Response.json(found);
  }

  #patch(request: Request, target: Target, query: URLSearchParams, body: unknown): Response {
    const { resource, namespace = "", name = "" } = target;
    const form = request.headers.get("content-type");
    if (form === "application/apply-patch+yaml") {
      const manager = query.get("fieldManager") ?? "";
      if (manager === "") return status(400, "BadRequest");
      const force = query.get("force") === "true";
      const applied = this.objects.apply(resource, body as GivenObject, manager, force);
      if (applied.kind === "conflict") return status(409, "Conflict");
      const code = applied.kind === "created" ? 201 : 200;
      return Response.json(applied.object, { status: code });
    }
    if (form !== "application/json-patch+json") return status(415, "UnsupportedMediaType");
    const before = this.objects.get(resource, namespace, name);
    if (before === undefined) return status(404, "NotFound");
    const patched = structuredClone(before);
    for (const { path, value } of body as { path: string; value: never }[]) {
      if (path === "/data") patched.data = value;
      else if (path === "/metadata/resourceVersion") patched.metadata.resourceVersion = value;
      else return status(422, "Invalid");
    }
    if (patched.metadata.resourceVersion !== before.metadata.resourceVersion) {
      return status(409, "Conflict");
    }
    return Response.json(this.objects.put(resource, patched));
  }

  #takeFault(text: string): Fault | undefined {
    const at = this.faults.findIndex((fault) => text.startsWith(fault.text));
    const found = this.faults[at];
    if (found === undefined) return undefined;
    if (--found.times <= 0) this.faults.splice(at, 1);
    return found.fault;
  }

  async #failure(fault: Fault): Promise<Response> {
    if (typeof fault === "number") return status(fault, "InternalError");
    if (typeof fault === "object" && "code" in fault) {
      return status(fault.code, "Invalid", fault.message);
    }
    if (typeof fault === "object") return Response.redirect(fault.location, 307);
    if (fault === "nonsense") return new Response(`{"data": c2VjcmV0LWtleQ==`, json);
    if (fault === "cut") {
      return new Response(
        new ReadableStream({
          start: (controller) => {
            controller.enqueue(new TextEncoder().encode(`{"kind":`));
            setImmediate(() => controller.error(new Error("cut")));
          },
        }),
        json,
      );
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hanging.add(resolve);
    await promise;
    return status(503, "ServiceUnavailable");
  }
}
