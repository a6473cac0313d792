import { connectService } from "../../src/driver/service_client/connection.ts";
import type { Clock } from "../../src/shared/scheduler/clock.ts";
import { serverName } from "../../src/shared/text/product_names.ts";
import { podObject } from "../../scripts/support/api_pod.ts";
import type { ApiServer } from "../../scripts/support/api_server.ts";

/** Where a test's drivers attest and call. */
export interface AttestationTarget {
  readonly api: ApiServer;
  /** "https://host:port". */
  readonly address: string;
  readonly attestationPort: number;
  /** A folder for the drivers' files. */
  readonly folder: string;
  readonly trustBundlePem: string;
}

/** The pod of a node's driver, or a later one that has taken its place. */
export function driverPod(node: string, generation = 1) {
  const name = `csi-cert-driver-${node}`;
  return { namespace: "csi-cert-system", name, uid: `uid-${generation}-of-${name}` };
}

/** The token that Kubernetes projects into the driver's pod of a node, which the API server then has. */
export function driverToken(api: ApiServer, node: string, generation?: number): string {
  const { namespace, name, uid } = driverPod(node, generation);
  const spec = { nodeName: node, serviceAccountName: "csi-cert-driver" };
  api.objects.put("pods", podObject({ metadata: { namespace, name, uid }, spec }));
  return api.tokens.make({ pod: { name, uid }, node });
}

/** A node's driver after its first attempt to attest, with the driver's own code. */
export async function attestDriver(
  { api, address, attestationPort, folder, trustBundlePem }: AttestationTarget,
  node: string,
  clock: Clock,
  generation?: number,
) {
  const [tokenFile, caFile] = [`${folder}/${node}.token`, `${folder}/${node}.ca.crt`];
  await Deno.writeTextFile(tokenFile, driverToken(api, node, generation));
  await Deno.writeTextFile(caFile, trustBundlePem);
  const attestation = { hostname: "127.0.0.1", port: attestationPort };
  const identity = { kind: "attested", attestation, tokenFile } as const;
  const connection = { address, serverName, caFile, identity };
  const driver = connectService(connection, { clock, random: () => 0 });
  await driver.attested;
  return driver;
}
