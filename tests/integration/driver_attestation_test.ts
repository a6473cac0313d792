import assert from "node:assert/strict";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { serveTcp } from "../../src/shared/grpc_server/server.ts";
import { Program } from "../../scripts/support/programs.ts";
import {
  driverFiles,
  serveAttestation,
  serverName,
  token,
} from "../driver/service_client/attestation_endpoint.ts";
import { stubService } from "../support/stub_service.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { TestCa } from "../../scripts/support/test_ca.ts";
import { unlimited } from "../support/gated_server.ts";
import { acceptingPeers } from "../support/peers.ts";

/** A service of which only the gRPC port's handshake, the watch and the attestation endpoint are real. */
async function openService(ca: TestCa) {
  const identity = { ...await ca.issue(serverName), clientAuthoritiesPem: ca.certificatePem };
  const tls = { current: () => identity, onChange: () => ({ [Symbol.dispose]: () => {} }) };
  const { promise: watched, resolve } = Promise.withResolvers<Uint8Array | undefined>();
  const services = [stubService(CertificateService, {
    reportCertificates: () => Promise.resolve({ accepted: 0, refused: 0 }),
    async *watchTrustBundle(_, { peerCertificate, signal }) {
      resolve(peerCertificate);
      yield { certificates: [] };
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    },
  })];
  await using resources = new AsyncDisposableStack();
  const server = resources.use(
    await serveTcp({ hostname: "127.0.0.1", port: 0 }, {
      tls,
      services,
      peers: acceptingPeers(),
      limits: { rates: unlimited },
      graceMs: 0,
    }),
  );
  const endpoint = resources.use(await serveAttestation(ca));
  const kept = resources.move();
  return {
    watched,
    received: endpoint.received,
    environment: {
      CERT_SERVICE_ADDR: `https://127.0.0.1:${server.port}`,
      ATTESTATION_ADDR: `https://127.0.0.1:${endpoint.port}`,
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function readyz({ healthAddress }: { healthAddress: string }): Promise<string> {
  return await (await fetch(`http://${healthAddress}/readyz`)).text();
}

Deno.test("a driver is ready without its token, names what is missing, and attests when it has it", async () => {
  const ca = await TestCa.create();
  await using service = await openService(ca);
  await using files = await driverFiles(ca);
  await using folder = await temporaryFolder();
  await Deno.remove(files.tokenFile);
  await using driver = new Program("csi-driver", "source", {
    ...service.environment,
    CSI_ENDPOINT: `unix://${folder.path}/csi.sock`,
    CERT_BASE_PATH: `${folder.path}/base`,
    CERT_SERVICE_CA_FILE: files.caFile,
    CERT_SERVICE_TOKEN_FILE: files.tokenFile,
    HEALTH_ADDR: "127.0.0.1:0",
    ALLOW_KEYS_ON_DISK: "true",
    NODE_ID: "node-1",
  });
  const addresses = await driver.ready();
  assert.match(
    await readyz(addresses),
    /^ok\n0 volumes.*\nno new client certificate: the token file .*\(CERT_SERVICE_TOKEN_FILE\) does not exist\n$/,
  );
  assert.equal(service.received.length, 0);
  await Deno.writeTextFile(files.tokenFile, token);
  assert.ok((await service.watched)?.length);
  assert.match(await readyz(addresses), /^ok\n0 volumes[^\n]*\n$/);
  assert.equal(service.received.length, 1);
  assert.doesNotMatch(driver.output, new RegExp(token.replaceAll(".", "\\.")));
  assert.doesNotMatch(driver.output, /cannot be followed/);
  assert.deepEqual((await driver.stop()).code, 0);
});
