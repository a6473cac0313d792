/** What a call is about. */
export interface Target {
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

export const json = { headers: { "content-type": "application/json" } };
export const verbs: Record<string, string> = { GET: "get", POST: "create", PATCH: "patch" };

/** Undefined for a path that is none of the API's. */
export function targetOf(path: string): Target | undefined {
  const core = /^\/api\/v1\/namespaces\/([^/]+)\/(pods|secrets|configmaps)(?:\/([^/]+))?$/.exec(
    path,
  );
  if (core !== null) {
    const [, namespace, resource = "", name] = core;
    return { resource, namespace, name };
  }
  return path === "/apis/authentication.k8s.io/v1/tokenreviews"
    ? { resource: "tokenreviews", namespace: undefined, name: undefined }
    : undefined;
}

/** A failure as the API server tells it. */
export function statusObject(code: number, reason: string) {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", reason, code };
}

export function status(code: number, reason: string): Response {
  return Response.json(statusObject(code, reason), { status: code });
}
