import { isIPv6 } from "node:net";
import { dirname, join, resolve } from "node:path";
import { type Cluster, KubeConfig, loadYaml, type User } from "@kubernetes/client-node";

/** The API server's address and the service's credentials. Files are read at each use, because they rotate. */
export interface ApiCredentials {
  /** "https://host:port". */
  readonly server: string;
  /** The CAs that verify the server's certificate, PEM; no other one is trusted. */
  readonly caPem: () => Promise<string>;
  readonly token: () => Promise<string | undefined>;
  /** The client's certificate and key, PEM. */
  readonly identity: () => Promise<{ certificatePem: string; privateKeyPem: string } | undefined>;
}

/** Where Kubernetes stores a pod's own token and the CA of the API server. */
const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * Reads the kubeconfig that KUBECONFIG names, or uses the pod's own service account. Throws an Error
 * that names what is missing or not supported.
 */
export function readApiCredentials(
  environment: Readonly<Record<string, string | undefined>>,
  folder = serviceAccountFolder,
): ApiCredentials {
  const { KUBECONFIG, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (KUBECONFIG) return kubeconfigCredentials(KUBECONFIG);
  if (!host || !port) {
    throw new Error(
      "no Kubernetes API server is configured: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT " +
        "are not set, as they are in a pod; elsewhere set KUBECONFIG to a kubeconfig file",
    );
  }
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    caPem: () => Deno.readTextFile(join(folder, "ca.crt")),
    token: () => readToken(join(folder, "token")),
    identity: () => Promise.resolve(undefined),
  };
}

/** Throws for a setting that is not supported, above all for a server that is not to be verified. */
function kubeconfigCredentials(path: string): ApiCredentials {
  const kubeconfig = new KubeConfig();
  const reject = (problem: string): never => {
    throw new Error(`KUBECONFIG ${path}: ${problem}`);
  };
  try {
    kubeconfig.loadFromFile(path);
  } catch (cause) {
    // The parser's own error would quote the file, which contains keys.
    const isAbsent = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    reject(isAbsent ? "the file does not exist" : "cannot be read as a kubeconfig");
  }
  const cluster = kubeconfig.getCurrentCluster() ?? reject("its current context has no cluster");
  const user = kubeconfig.getCurrentUser() ?? reject("its current context has no user");
  const problem = unsupported(cluster, user);
  if (problem !== undefined) reject(problem);
  const tokenFile: unknown = user.authProvider?.config?.tokenFile ?? tokenFileOf(kubeconfig, path);
  return {
    server: cluster.server.replace(/\/+$/, ""),
    caPem: async () => await fileOrData(cluster.caFile, cluster.caData) ?? "",
    token: () => typeof tokenFile === "string" ? readToken(tokenFile) : Promise.resolve(user.token),
    identity: async () => {
      const certificatePem = await fileOrData(user.certFile, user.certData);
      const privateKeyPem = await fileOrData(user.keyFile, user.keyData);
      return certificatePem && privateKeyPem ? { certificatePem, privateKeyPem } : undefined;
    },
  };
}

function unsupported(cluster: Cluster, user: User): string | undefined {
  if (!cluster.server.startsWith("https://")) {
    return `its cluster's server is ${cluster.server}, expected https://host:port`;
  }
  if (cluster.skipTLSVerify) {
    return "insecure-skip-tls-verify is set; give certificate-authority-data";
  }
  if (!cluster.caFile && !cluster.caData) {
    return "its cluster has no CA, and public CAs are not trusted; give certificate-authority-data";
  }
  if (cluster.tlsServerName !== undefined || cluster.proxyUrl !== undefined) {
    return "tls-server-name and proxy-url are not supported";
  }
  if (user.exec !== undefined || user.username !== undefined || user.impersonateUser) {
    return "its user has exec, a password or impersonation, expected a token or a client certificate";
  }
  return undefined;
}

/** The client library supports tokens in a kubeconfig, and not files with tokens. */
function tokenFileOf(kubeconfig: KubeConfig, path: string): string | undefined {
  const name = kubeconfig.getContextObject(kubeconfig.getCurrentContext())?.user;
  const text = Deno.readTextFileSync(path);
  const file = parseKubeconfig(text).users?.find((entry) => entry.name === name)?.user?.tokenFile;
  return file === undefined ? undefined : resolve(dirname(path), file);
}

function parseKubeconfig(
  text: string,
): { users?: { name?: string; user?: { tokenFile?: string } }[] } {
  return loadYaml(text) ?? {};
}

async function readToken(path: string): Promise<string> {
  // A line end from an editor would make an invalid header.
  return (await Deno.readTextFile(path)).trim();
}

async function fileOrData(file?: string, data?: string): Promise<string | undefined> {
  if (file) return await Deno.readTextFile(file);
  return data ? atob(data) : undefined;
}
