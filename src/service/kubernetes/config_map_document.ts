import { PatchStrategy, setHeaderOptions, type V1ConfigMap } from "@kubernetes/client-node";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import type { SharedDocument, SharedDocumentContent } from "../documents/shared_document.ts";
import { toUnavailable } from "./api_result.ts";
import type { ApiClient } from "./api_client.ts";
import { type ObjectWatchOptions, watchObject } from "./object_watch.ts";
import { configMapPermission } from "./permissions.ts";

/**
 * A ConfigMap as a document that replicas share. It is made by server-side apply, which RBAC can allow
 * for one name. Each apply has its own field manager and no force, so that of two replicas that make
 * the ConfigMap at once, one conflicts with the other's fields. It is changed by a JSON patch that
 * contains the version that was read.
 */
export class ConfigMapDocument implements SharedDocument {
  readonly name: string;
  readonly #client: ApiClient;
  readonly #object: NamespacedName;
  readonly #options: ObjectWatchOptions;

  constructor(client: ApiClient, object: NamespacedName, options: ObjectWatchOptions) {
    this.name = `ConfigMap ${object.namespace}/${object.name}`;
    this.#client = client;
    this.#object = object;
    this.#options = options;
  }

  async read(signal: AbortSignal): Promise<SharedDocumentContent | undefined> {
    const answer = await this.#get(signal);
    if (answer.kind === "absent") return undefined;
    if (answer.kind !== "answer") throw new Error(toUnavailable(answer).problem);
    const { data = {}, metadata } = answer.value;
    return { data, version: metadata?.resourceVersion ?? "" };
  }

  async write(
    data: Readonly<Record<string, string>>,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    return version === undefined
      ? await this.#create(data, signal)
      : await this.#replace(data, version, signal);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<void> {
    const states = watchObject<V1ConfigMap>(
      this.#client,
      configMapPermission("watch", this.#object),
      (signal) => this.#get(signal),
      this.#options,
      signal,
    );
    for await (const { kind } of states) {
      if (kind !== "unavailable") yield;
    }
  }

  #get(signal: AbortSignal) {
    const { namespace, name } = this.#object;
    return this.#client.call(
      configMapPermission("get", this.#object),
      signal,
      ({ core }) => core.readNamespacedConfigMap({ namespace, name }),
    );
  }

  async #create(data: Readonly<Record<string, string>>, signal: AbortSignal): Promise<boolean> {
    const { namespace, name } = this.#object;
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { namespace, name }, data };
    const fieldManager = `cert-service-${crypto.randomUUID()}`;
    const answer = await this.#client.call(
      configMapPermission("create", this.#object),
      signal,
      ({ core }) =>
        core.patchNamespacedConfigMapWithHttpInfo(
          { namespace, name, body, fieldManager },
          contentType(PatchStrategy.ServerSideApply),
        ),
    );
    if (answer.kind === "conflict") return false;
    if (answer.kind !== "answer") throw new Error(toUnavailable(answer).problem);
    // 200: the ConfigMap existed.
    return answer.value.httpStatusCode === 201;
  }

  async #replace(
    data: Readonly<Record<string, string>>,
    version: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { namespace, name } = this.#object;
    // RFC 6902, 4.1: add replaces an existing value. The version is the precondition.
    const body = [
      { op: "replace", path: "/metadata/resourceVersion", value: version },
      { op: "add", path: "/data", value: data },
    ];
    const answer = await this.#client.call(
      configMapPermission("patch", this.#object),
      signal,
      ({ core }) =>
        core.patchNamespacedConfigMap(
          { namespace, name, body, fieldManager: "cert-service" },
          contentType(PatchStrategy.JsonPatch),
        ),
    );
    if (answer.kind === "conflict" || answer.kind === "absent") return false;
    if (answer.kind !== "answer") throw new Error(toUnavailable(answer).problem);
    return true;
  }
}

/** By default the client would send every patch as a JSON patch. */
function contentType(form: string) {
  return setHeaderOptions("Content-Type", form);
}
