import type { ApiServer } from "../../scripts/support/api_server.ts";

/** Writes a kubeconfig for a test's API server; returns the file's path. */
export async function writeKubeconfig(folder: string, api: ApiServer): Promise<string> {
  const path = `${folder}/kubeconfig`;
  const cluster = { server: api.url, "certificate-authority-data": btoa(api.authorityPem) };
  await Deno.writeTextFile(
    path,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster }],
      users: [{ name: "service", user: { token: "service-token" } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "service" } }],
      "current-context": "test",
    }),
  );
  return path;
}
