/** Objects as an API server stores them: with versions that grow, a history for watches, and field owners. */
export interface StoredObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    resourceVersion: string;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

export interface ObjectEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: StoredObject;
  readonly version: number;
  /** "secrets/csi-cert-system". */
  readonly collection: string;
}

/** The fields of an object that a test states; the others have defaults. */
export interface GivenObject {
  metadata: { name: string; namespace: string; uid?: string; [field: string]: unknown };
  [field: string]: unknown;
}

export type Applied =
  | { readonly kind: "created" | "changed"; readonly object: StoredObject }
  | { readonly kind: "conflict" };

const kinds: Record<string, string> = { pods: "Pod", secrets: "Secret", configmaps: "ConfigMap" };

export class ApiObjects {
  #version = 1_000;
  /** Older versions are no longer in the history. */
  #oldest = 0;
  readonly #objects = new Map<string, StoredObject>();
  readonly #history: ObjectEvent[] = [];
  readonly #owners = new Map<string, string>();
  readonly #listeners = new Set<(event: ObjectEvent) => void>();

  get version(): number {
    return this.#version;
  }

  get(resource: string, namespace: string, name: string): StoredObject | undefined {
    return this.#objects.get(`${resource}/${namespace}/${name}`);
  }

  /** The objects of a collection, or those of one node ("spec.nodeName=NAME"). */
  list(resource: string, namespace: string, fieldSelector: string | null): StoredObject[] {
    const [, node] = /^spec\.nodeName=(.*)$/.exec(fieldSelector ?? "") ?? [];
    return [...this.#objects].filter(([key]) => key.startsWith(`${resource}/${namespace}/`))
      .map(([, object]) => object)
      .filter(({ spec }) =>
        node === undefined || (spec as { nodeName?: string } | undefined)?.nodeName === node
      );
  }

  put(resource: string, given: GivenObject): StoredObject {
    const { namespace, name } = given.metadata;
    const key = `${resource}/${namespace}/${name}`;
    const before = this.#objects.get(key);
    const version = ++this.#version;
    const object: StoredObject = {
      apiVersion: "v1",
      kind: kinds[resource] ?? "Object",
      ...structuredClone(given),
      metadata: {
        creationTimestamp: "2026-03-01T12:00:00Z",
        ...structuredClone(given.metadata),
        uid: given.metadata.uid ?? before?.metadata.uid ?? crypto.randomUUID(),
        resourceVersion: `${version}`,
      },
    };
    this.#objects.set(key, object);
    const type = before === undefined ? "ADDED" : "MODIFIED";
    this.#notify({ type, object, version, collection: `${resource}/${namespace}` });
    return object;
  }

  delete(resource: string, namespace: string, name: string): void {
    const key = `${resource}/${namespace}/${name}`;
    const before = this.#objects.get(key);
    if (before === undefined) return;
    this.#objects.delete(key);
    for (const owner of [...this.#owners.keys()]) {
      if (owner.startsWith(`${key} `)) this.#owners.delete(owner);
    }
    const version = ++this.#version;
    const object = structuredClone(before);
    object.metadata.resourceVersion = `${version}`;
    this.#notify({ type: "DELETED", object, version, collection: `${resource}/${namespace}` });
  }

  /** Server-side apply of an object's data. */
  apply(resource: string, given: GivenObject, manager: string, force: boolean): Applied {
    const { namespace, name } = given.metadata;
    const key = `${resource}/${namespace}/${name}`;
    const before = this.#objects.get(key);
    const data = (given.data ?? {}) as Record<string, string>;
    const former = (before?.data ?? {}) as Record<string, string>;
    for (const [field, value] of Object.entries(data)) {
      const owner = this.#owners.get(`${key} ${field}`);
      const isForeign = field in former && owner !== manager && former[field] !== value;
      if (isForeign && !force) return { kind: "conflict" };
    }
    for (const field of Object.keys(data)) this.#owners.set(`${key} ${field}`, manager);
    const metadata = { ...before?.metadata, ...given.metadata };
    const object = this.put(resource, { ...before, metadata, data: { ...former, ...data } });
    return { kind: before === undefined ? "created" : "changed", object };
  }

  /** Clears the history, as etcd's compaction does. */
  compact(): void {
    this.#oldest = ++this.#version;
    this.#history.length = 0;
  }

  /** Counts versions from a lower one on, as after etcd was restored from a backup. */
  setVersionBack(version: number): void {
    this.#version = version;
    this.#history.length = 0;
  }

  /** What a watch from a version begins with; undefined: that version is too old. */
  since(collection: string, version: number | undefined): ObjectEvent[] | undefined {
    if (version === undefined) {
      return [...this.#objects].filter(([key]) => key.startsWith(`${collection}/`)).map((
        [, object],
      ) => ({
        type: "ADDED",
        object,
        version: Number(object.metadata.resourceVersion),
        collection,
      }));
    }
    if (version < this.#oldest) return undefined;
    return this.#history.filter((event) =>
      event.collection === collection && event.version > version
    );
  }

  listen(listener: (event: ObjectEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #notify(event: ObjectEvent): void {
    this.#history.push(event);
    for (const listener of [...this.#listeners]) listener(event);
  }
}
