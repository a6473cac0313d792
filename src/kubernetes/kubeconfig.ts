import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import type { ApiAccess } from "./api_access.ts";

/**
 * The way that a kubeconfig's current context tells
 * (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/). Throws for what we would have to
 * ignore, above all for a server whose certificate nobody checks.
 */
export function kubeconfigAccess(path: string): ApiAccess {
  const refuse = (problem: string): never => {
    throw new Error(`KUBECONFIG ${path}: ${problem}`);
  };
  const { cluster, user } = read(path, refuse);
  const problem = unsupported(cluster, user);
  if (problem !== undefined) refuse(problem);
  const file = (entry: Entry, name: string): string | undefined => {
    const named = entry[name];
    return typeof named === "string" && named !== "" ? resolve(dirname(path), named) : undefined;
  };
  const pem = async (entry: Entry, name: string): Promise<string | undefined> => {
    const data = textOf(entry, `${name}-data`);
    if (data !== undefined) return atob(data);
    const named = file(entry, name);
    return named === undefined ? undefined : await Deno.readTextFile(named);
  };
  const tokenFile = file(user, "tokenFile");
  return {
    server: serverOf(cluster).replace(/\/+$/, ""),
    authorityPem: () => pem(cluster, "certificate-authority"),
    token: () =>
      tokenFile === undefined ? Promise.resolve(textOf(user, "token")) : readToken(tokenFile),
    identity: async () => {
      const certificatePem = await pem(user, "client-certificate");
      const privateKeyPem = await pem(user, "client-key");
      return certificatePem && privateKeyPem ? { certificatePem, privateKeyPem } : undefined;
    },
  };
}

export async function readToken(path: string): Promise<string> {
  // An editor's line end would make a header that is none.
  return (await Deno.readTextFile(path)).trim();
}

/** A part of the file, of which nothing is known yet. */
type Entry = Readonly<Record<string, unknown>>;

function read(path: string, refuse: (problem: string) => never): { cluster: Entry; user: Entry } {
  let file: Entry;
  try {
    file = entryOf(parse(Deno.readTextFileSync(path))) ?? {};
  } catch (error) {
    // The parser quotes the file, and the file holds keys.
    const isAbsent = error instanceof Deno.errors.NotFound;
    return refuse(isAbsent ? "there is no such file" : "cannot be read as a kubeconfig");
  }
  const context = named(file, "context", file["current-context"]);
  return {
    cluster: named(file, "cluster", context?.cluster) ??
      refuse("its current context has no cluster"),
    user: named(file, "user", context?.user) ?? refuse("its current context has no user"),
  };
}

/** Of the file's contexts, clusters or users the one of that name. */
function named(file: Entry, kind: string, name: unknown): Entry | undefined {
  const list = file[`${kind}s`];
  if (!Array.isArray(list) || typeof name !== "string") return undefined;
  return entryOf(list.map(entryOf).find((each) => each?.name === name)?.[kind]);
}

function entryOf(value: unknown): Entry | undefined {
  return typeof value === "object" && value !== null ? value as Entry : undefined;
}

/** Undefined also for an empty text, which kubectl takes for none. */
function textOf(entry: Entry, name: string): string | undefined {
  const value = entry[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function serverOf(cluster: Entry): string {
  return textOf(cluster, "server") ?? "";
}

function unsupported(cluster: Entry, user: Entry): string | undefined {
  const has = (entry: Entry, ...names: string[]) =>
    names.some((name) => (entry[name] ?? "") !== "");
  if (!serverOf(cluster).startsWith("https://")) {
    return `its cluster's server is ${serverOf(cluster)}, expected https://host:port`;
  }
  if (cluster["insecure-skip-tls-verify"] === true) {
    return "insecure-skip-tls-verify is set; give certificate-authority-data";
  }
  if (has(cluster, "tls-server-name", "proxy-url")) {
    return "tls-server-name and proxy-url are not supported";
  }
  if (has(user, "exec", "auth-provider", "username", "as")) {
    return "its user has exec, an auth-provider, a password or impersonation, " +
      "expected a token or a client certificate";
  }
  return undefined;
}
