import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { attest } from "../../../src/driver/service_client/attestation_client.ts";
import { FileIdentity } from "../../../src/driver/service_client/file_identity.ts";
import { NodeIdentity } from "../../../src/driver/service_client/node_identity.ts";
import { watchTrustBundle } from "../../../src/driver/service_client/trust_bundle_watch.ts";
import { decodePem } from "../../../src/shared/crypto/pem.ts";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import type { ClientIdentitySource } from "../../../src/shared/grpc_client/client_identity.ts";
import { serveTcp } from "../../../src/shared/grpc_server/server.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { stubService } from "../../support/stub_service.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import {
  driverFiles,
  nodeCertificate,
  requestOf,
  response,
  serveRaw,
  serverName,
} from "./attestation_endpoint.ts";
import { unlimited } from "../../support/gated_server.ts";
import { acceptingPeers } from "../../support/peers.ts";

const hourMs = 3_600_000;

/**
 * The service: its gRPC port takes certificates until an hour after they were issued, by the clock of the test, and ends
 * the watch of one that has expired. The time of TLS itself stands still.
 */
async function openService(clock: FakeClock) {
  const ca = await TestCa.create();
  const expiry = new Map<string, number>();
  const nowMs = () => clock.now().epochMilliseconds;
  const seen = new Set<string>();
  const watches = new Set<string>();
  const counts = { calls: 0, refused: 0 };
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const verify = (peer: Uint8Array | undefined): string => {
    const certificate = peer?.toHex() ?? "";
    counts.calls++;
    if (nowMs() >= (expiry.get(certificate) ?? 0)) {
      counts.refused++;
      throw new RpcError(status.UNAUTHENTICATED, "the client's certificate has expired");
    }
    seen.add(certificate);
    return certificate;
  };
  const services = [stubService(CertificateService, {
    reportCertificates: (_, { peerCertificate }) => {
      verify(peerCertificate);
      return Promise.resolve({ accepted: 0, refused: 0 });
    },
    issueCertificate: async (_, { peerCertificate }) => {
      verify(peerCertificate);
      await released;
      return {};
    },
    async *watchTrustBundle(_, { peerCertificate, signal }) {
      const certificate = verify(peerCertificate);
      watches.add(certificate);
      yield { certificates: [Uint8Array.of(1)] };
      const { promise: expired, resolve } = Promise.withResolvers<void>();
      using _timer = clock.after(expiry.get(certificate)! - nowMs(), resolve);
      signal.addEventListener("abort", () => resolve());
      await expired;
      watches.delete(certificate);
      if (!signal.aborted) throw new RpcError(status.UNAUTHENTICATED, "has expired");
    },
  })];
  const identity = { ...await ca.issue(serverName), clientAuthoritiesPem: ca.certificatePem };
  const tls = { current: () => identity, onChange: () => ({ [Symbol.dispose]: () => {} }) };
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
  const accept = (certificatePem: string) => {
    const [der = new Uint8Array()] = decodePem("CERTIFICATE", certificatePem);
    expiry.set(der.toHex(), nowMs() + hourMs);
  };
  const endpoint = resources.use(
    await serveRaw(await ca.issue(serverName), async (socket, text) => {
      const request = requestOf(text);
      if (request === undefined) return;
      const answer = await nodeCertificate(ca, request);
      accept(answer.certificateChain);
      socket.end(response(200, answer));
    }),
  );
  const files = resources.use(await driverFiles(ca));
  const kept = resources.move();
  return {
    ca,
    seen,
    watches,
    counts,
    release,
    accept,
    files,
    port: server.port,
    attestation: { hostname: "127.0.0.1", port: endpoint.port, serverName, ...files },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Calls every minute and watches for two hours; `afterSecond` waits until what began in a second has ended. */
async function runForTwoHours(
  clock: FakeClock,
  service: Awaited<ReturnType<typeof openService>>,
  identity: ClientIdentitySource,
  afterSecond: (second: number) => Promise<void>,
) {
  const events: string[] = [];
  const stop = new AbortController();
  using client = connect(CertificateService, {
    address: `https://127.0.0.1:${service.port}`,
    serverName,
    trustBundle: () => service.ca.certificatePem,
    clientIdentity: identity,
  });
  const handler = {
    onConnected: () => Promise.resolve(void events.push("connected")),
    onBundle: () => Promise.resolve(void events.push("bundle")),
    onDisconnected: () => void events.push("disconnected"),
  };
  const wait = () => Promise.reject(new Error("the watch has paused"));
  const options = { wait, random: () => 0.5, identity };
  const watching = watchTrustBundle(client, handler, options, stop.signal);
  let long: Promise<unknown> | undefined;
  for (let second = 0; second < 2 * 3_600; second++) {
    await clock.advance({ seconds: 1 });
    await afterSecond(second);
    if (second % 60 === 0) await client.reportCertificates({});
    // Runs over a renewal, and ends on the connection that it began on.
    if (second === 2_200) long = client.issueCertificate({});
    if (second === 2_500) service.release();
  }
  await long;
  await clock.until(() => service.watches.size === 1);
  assert.equal(events.filter((event) => event === "disconnected").length, 0);
  stop.abort();
  await watching;
  assert.equal(service.counts.refused, 0);
  return events;
}

Deno.test("for two hours with node certificates of an hour no call fails and the watch never ends", async () => {
  const clock = new FakeClock();
  await using service = await openService(clock);
  let running = 0;
  using identity = new NodeIdentity({
    clock,
    random: () => 0.5,
    attest: async (signal) => {
      running++;
      try {
        return await attest(service.attestation, clock, signal);
      } finally {
        running--;
      }
    },
  });
  await identity.start();
  const events = await runForTwoHours(
    clock,
    service,
    identity,
    () => running === 0 ? Promise.resolve() : clock.until(() => running === 0),
  );
  assert.equal(service.seen.size, 4);
  assert.equal(events.filter((event) => event === "connected").length, 4);
});

Deno.test("for two hours with certificates in files that another program replaces no call fails", async () => {
  const clock = new FakeClock(Temporal.Now.instant());
  await using service = await openService(clock);
  const certificateFile = `${service.files.caFile}.tls.crt`;
  const privateKeyFile = `${service.files.caFile}.tls.key`;
  const replace = async () => {
    const pair = await service.ca.issue("spiffe://cluster.local/csi-cert-node/node-1");
    service.accept(pair.certificatePem);
    await Deno.writeTextFile(certificateFile, pair.certificatePem);
    await Deno.writeTextFile(privateKeyFile, pair.privateKeyPem);
  };
  await replace();
  using identity = FileIdentity.open({ certificateFile, privateKeyFile }, clock);
  const everyHalfHour = async (second: number) => {
    if (second % 1_800 === 1_799) await replace();
  };
  await runForTwoHours(clock, service, identity, everyHalfHour);
  assert.ok(service.seen.size >= 4, `${service.seen.size}`);
});
