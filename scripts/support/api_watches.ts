import type { ApiObjects, ObjectEvent } from "./api_objects.ts";
import { status, statusObject, type Target } from "./api_requests.ts";

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** The watches that are open at an API server. */
export class ApiWatches {
  readonly #objects: ApiObjects;
  readonly #open = new Set<Controller>();

  constructor(objects: ApiObjects) {
    this.#objects = objects;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Answers with the present objects, or the changes since a version, and then with each change. */
  open({ resource, namespace }: Target, name: string, query: URLSearchParams): Response {
    // RBAC of one name allows a watch of that one name only.
    if (query.get("fieldSelector") !== `metadata.name=${name}`) return status(403, "Forbidden");
    const collection = `${resource}/${namespace}`;
    const from = query.get("resourceVersion");
    // Without a version the real one first waits for its cache, for seconds if etcd is an older one.
    if (from === null) return status(504, "Timeout");
    const past = this.#objects.since(collection, from === "0" ? undefined : Number(from));
    const isWatched = ({ object, collection: its }: ObjectEvent) =>
      its === collection && object.metadata.name === name;
    let controller: Controller | undefined;
    let listening: Disposable | undefined;
    const start = (started: Controller) => {
      if (past === undefined) {
        send(started, { type: "ERROR", object: statusObject(410, "Expired") });
        return started.close();
      }
      for (const event of past.filter(isWatched)) send(started, event);
      listening = this.#objects.listen((event) => {
        if (isWatched(event) && this.#open.has(started)) send(started, event);
      });
      controller = started;
      this.#open.add(started);
    };
    const cancel = () => {
      listening?.[Symbol.dispose]();
      if (controller !== undefined) this.#open.delete(controller);
    };
    const body = new ReadableStream<Uint8Array>({ start, cancel });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }

  disconnect(): void {
    for (const watch of this.#open) watch.error(new Error("the connection is cut"));
    this.#open.clear();
  }

  send(line: string): void {
    for (const watch of this.#open) watch.enqueue(new TextEncoder().encode(`${line}\n`));
  }
}

/** In two pieces, as a network may deliver it. */
function send(watch: Controller, { type, object }: { type: string; object: unknown }): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify({ type, object })}\n`);
  watch.enqueue(bytes.subarray(0, 20));
  watch.enqueue(bytes.subarray(20));
}
