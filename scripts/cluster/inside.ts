/**
 * Runs as the first process of a cluster's own namespaces: starts the node, installs the product as
 * a user would, and then runs a command. When it ends, every process in the namespaces ends. It
 * also ends when its standard input ends, because its parent has ended then.
 *
 * inside.ts PLACE-AS-JSON PARTS-AS-JSON COMMAND [ARGUMENT…]
 */
import { installProduct, readyEndpoint, serviceAddresses } from "../support/install.ts";
import { ClusterNode } from "./node.ts";
import type { Parts } from "./parts.ts";
import { serveNames } from "./service_dns.ts";
import { serveAddress } from "./service_proxy.ts";
import { addresses, type Place } from "./settings.ts";
import { errorMessage } from "../../src/shared/text/error_message.ts";

async function endWithParent(): Promise<never> {
  for await (const _chunk of Deno.stdin.readable);
  Deno.exit(1);
}

async function main([placeText = "", partsText = "", program = "", ...args]: string[]) {
  const place: Place = JSON.parse(placeText);
  const parts: Parts = JSON.parse(partsText);
  // For this process and its children, which include the tests.
  const programs = [parts.kubernetes, parts.tools, "/usr/local/sbin", "/usr/sbin", "/usr/bin"];
  Deno.env.set("PATH", [...programs, "/sbin", "/bin"].join(":"));
  Deno.env.set("KUBECONFIG", `${place.folder}/pki/admin.kubeconfig`);
  Deno.env.set("E2E_FOLDER", place.folder);
  Deno.env.set("E2E_FAMILY", place.family);
  const images = [];
  for await (const { name } of Deno.readDir(place.images)) {
    images.push(`${place.images}/${name}`);
  }
  await new ClusterNode(place, parts).start(images);
  using proxies = new DisposableStack();
  for (const [name, port] of [["grpc", 50051], ["attestation", 50052]] as const) {
    const address = { hostname: addresses[place.family].certService, port };
    const pick = () => readyEndpoint("csi-cert-system", "cert-service", name);
    proxies.use(serveAddress(address, pick));
  }
  const dns = { hostname: addresses[place.family].node, port: 53 };
  proxies.use(await serveNames(dns, serviceAddresses));
  await installProduct();
  const interactive = Deno.env.get("E2E_SHELL") === "true";
  const stdin = interactive ? "inherit" : "null";
  return (await new Deno.Command(program, { args, stdin }).spawn().status).code;
}

if (import.meta.main) {
  if (Deno.env.get("E2E_SHELL") !== "true") void endWithParent();
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    console.error(`e2e: ${errorMessage(error)}`);
    Deno.exit(70);
  }
}
