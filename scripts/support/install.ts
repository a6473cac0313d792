import { fileURLToPath } from "node:url";
import { programArguments } from "../permissions.ts";
import { getJson, kubectl, tryKubectl } from "./kubectl.ts";

/** The overlay for a cluster whose addresses are of this family. */
function overlay(family: string): string {
  return fileURLToPath(new URL(`../../tests/e2e/overlays/${family}`, import.meta.url));
}

export const system = "csi-cert-system";

/** What `cert-service init-ca --kubernetes` prints: namespace, CA and first trust bundle. */
export async function initCa(...options: string[]): Promise<string> {
  return await runInitCa("--kubernetes", ...options);
}

/** What `cert-service init-ca --out` writes. */
export async function initCaFiles(
  ...options: string[]
): Promise<{ certificatePem: string; privateKeyPem: string }> {
  const folder = await Deno.makeTempDir({ dir: Deno.env.get("E2E_FOLDER")! });
  await runInitCa("--out", folder, ...options);
  return {
    certificatePem: await Deno.readTextFile(`${folder}/tls.crt`),
    privateKeyPem: await Deno.readTextFile(`${folder}/tls.key`),
  };
}

async function runInitCa(...options: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...programArguments("cert-service", "bundle"), "init-ca", ...options],
    stdin: "null",
  }).output();
  if (!success) throw new Error(`init-ca failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** Applies deploy/, with what the one node lacks. */
export async function applyManifest(): Promise<void> {
  await kubectl(["apply", "-k", overlay(Deno.env.get("E2E_FAMILY")!)]);
}

/** Installs as docs/how-to/install.md describes, and waits until both programs are ready. */
export async function installProduct(): Promise<void> {
  const started = performance.now();
  await kubectl(["apply", "-f", "-"], await initCa());
  await applyManifest();
  await rolledOut("deployment/cert-service");
  await rolledOut("daemonset/csi-cert-driver");
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`  installed with kubectl apply, ready after ${seconds} s`);
}

/** Waits for a rollout; throws with its pods' states and logs. */
export async function rolledOut(workload: string): Promise<void> {
  try {
    await kubectl(["-n", system, "rollout", "status", workload, "--timeout=120s"]);
  } catch (error) {
    const pods = await kubectl(["-n", system, "describe", "pods"]);
    const logs = await kubectl(["-n", system, "logs", workload, "--tail=20"])
      .catch((error) => String(error));
    throw new Error(`${workload} does not become ready: ${error}\n${pods}\n${logs}`);
  }
}

/** The address of one ready endpoint of a Service, at the port with this name. */
export async function readyEndpoint(
  namespace: string,
  service: string,
  portName: string,
): Promise<{ hostname: string; port: number } | undefined> {
  const label = `kubernetes.io/service-name=${service}`;
  const { items } = await getJson("endpointslices", "-n", namespace, "-l", label);
  for (const { endpoints, ports } of items) {
    const ready = (endpoints ?? []).filter((each: Endpoint) => each.conditions.ready);
    const [hostname] = ready[Math.floor(Math.random() * ready.length)]?.addresses ?? [];
    const port = ports.find(({ name }: { name: string }) => name === portName)?.port;
    if (hostname && port) return { hostname, port };
  }
}

/**
 * The addresses that a Service's name has in a cluster's DNS: its own, or those of its endpoints where it is headless.
 * Undefined where there is no such Service.
 */
export async function serviceAddresses(
  service: string,
  namespace: string,
): Promise<string[] | undefined> {
  const found = await tryKubectl(["-n", namespace, "get", "service", service, "-o", "json"]);
  if (!found.success) return undefined;
  const { spec } = JSON.parse(found.stdout);
  if (spec.clusterIP !== "None") return spec.clusterIPs;
  const label = `kubernetes.io/service-name=${service}`;
  const { items } = await getJson("endpointslices", "-n", namespace, "-l", label);
  return items.flatMap(({ endpoints }: { endpoints?: Endpoint[] }) =>
    // A Service that publishes addresses that are not ready has them marked as ready.
    (endpoints ?? []).filter(({ conditions }) => conditions.ready)
      .flatMap(({ addresses }) => addresses)
  );
}

interface Endpoint {
  readonly addresses: string[];
  readonly conditions: { readonly ready: boolean };
}
