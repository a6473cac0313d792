/** Endpoints that pose as the attestation endpoint: none of them may ever see a token. */
import { createServer, type TLSSocket } from "node:tls";
import { serverName } from "../../../../src/shared/text/product_names.ts";
import { freePort } from "../../../bench/service_process.ts";
import { serverAuth, SuiteCa } from "../../programs/authority.ts";
import { AttackedDriver } from "../../programs/driver.ts";
import { issuePodIdentity } from "../../programs/pod_identity.ts";
import { AttackedService } from "../../programs/service.ts";
import { AttackFailure, type Budget, InconclusiveFailure, type OwnRow } from "../../harness/row.ts";
import { pause } from "../../harness/service_row.ts";
import type { ClientIdentity } from "../../http2/socket.ts";

/** The identity that the endpoint serves with. */
type MakeIdentity = (service: AttackedService) => Promise<ClientIdentity>;

const foreignCa: MakeIdentity = async () => {
  const ca = await SuiteCa.create("Attacked CA");
  return await ca.issue({ dnsNames: [serverName], usages: [serverAuth] });
};

const podCertificate: MakeIdentity = async (service) => {
  const { address } = await service.running();
  const { identity, token } = await service.node(0);
  return await issuePodIdentity({
    address,
    tls: service.tls(identity),
    token,
    pod: service.podOf(0),
  });
};

/** Starts a driver with a token whose attestation endpoint is the rogue one. */
async function rogue(folder: string, { ms }: Budget, make: MakeIdentity): Promise<string> {
  await using service = await AttackedService.prepare("kubernetes", `${folder}/service`);
  const { address } = await service.running();
  const identity = await make(service);
  let received = "";
  let connections = 0;
  const server = createServer(
    { cert: identity.certificatePem, key: identity.privateKeyPem, ALPNProtocols: ["http/1.1"] },
    (socket: TLSSocket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes: Uint8Array) => received += new TextDecoder().decode(bytes));
    },
  );
  server.on("connection", () => connections++);
  server.on("tlsClientError", () => {});
  const port = freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const token = service.cluster?.token(9) ?? "";
  const write = async (name: string, text: string) => {
    await Deno.writeTextFile(`${folder}/${name}`, text);
    return `${folder}/${name}`;
  };
  const env = {
    CERT_SERVICE_ADDR: `https://${address}`,
    ATTESTATION_ADDR: `https://127.0.0.1:${port}`,
    CERT_SERVICE_CA_FILE: await write("service-ca.crt", service.ca.certificatePem),
    CERT_SERVICE_TOKEN_FILE: await write("token", token),
  };
  try {
    await using driver = await AttackedDriver.start({ directory: `${folder}/driver`, env });
    await driver.publish(2_000);
    await pause(ms);
  } finally {
    server.close();
  }
  if (received !== "") throw new AttackFailure("the rogue endpoint received bytes of a request");
  if (connections === 0) throw new InconclusiveFailure("the driver never called the endpoint");
  return `${connections} connections, no byte received`;
}

export const rogueEndpointRows: readonly OwnRow[] = [
  {
    name: "attestation/a rogue endpoint of a foreign CA",
    position: "unauthenticated",
    target: "own",
    needs: "attestation",
    run: (folder, budget) => rogue(folder, budget, foreignCa),
  },
  {
    name: "attestation/a rogue endpoint with a pod's certificate",
    position: "pod",
    target: "own",
    needs: "attestation",
    run: (folder, budget) => rogue(folder, budget, podCertificate),
  },
];
