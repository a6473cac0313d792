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

/** Where the keys of service accounts' tokens are published. */
export const keySetPath = "/openid/v1/jwks";

/** A request as a call of the API. */
export function readCall({ method, url }: Request) {
  const { pathname, searchParams: query } = new URL(url);
  const target = targetOf(pathname);
  const isWatch = query.get("watch") === "true";
  const isList = !isWatch && method === "GET" && target !== undefined && target.name === undefined;
  const selected = query.get("fieldSelector")?.replace(/^metadata\.name=/, "");
  const name = target?.name ?? (isList ? undefined : selected);
  const verb = isWatch ? "watch" : isList ? "list" : verbs[method] ?? method;
  const object = [target?.namespace, name].filter((part) => part).join("/");
  const isKeySet = pathname === keySetPath;
  const text = isKeySet ? `${verb} ${pathname}` : `${verb} ${target?.resource} ${object}`.trim();
  return { target: target && { ...target, name }, verb, text, query, isWatch, isList, isKeySet };
}

/** A failure as the API server reports it. */
export function statusObject(code: number, reason: string, message?: string) {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    reason,
    code,
    message,
  };
}

export function status(code: number, reason: string, message?: string): Response {
  return Response.json(statusObject(code, reason, message), { status: code });
}
