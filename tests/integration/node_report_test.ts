import assert from "node:assert/strict";
import { NodeReporter } from "../../src/driver/service_client/node_reporter.ts";
import type { MountedCertificate } from "../../src/driver/service_client/report_parts.ts";
import type { Authenticator } from "../../src/service/access/authenticator.ts";
import type { SigningMaterial } from "../../src/service/ca/current_ca.ts";
import { administrationService } from "../../src/service/api/administration_service.ts";
import { certificateService } from "../../src/service/api/certificate_service.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import {
  CertificateAdministration,
  CertificateService,
  CertificateState,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { type Client, connect } from "../../src/shared/grpc_client/client.ts";
import { registerService, serveUnix } from "../../src/shared/grpc_server/server.ts";
import { readCertificate } from "../../src/shared/x509/certificate.ts";
import { countTurns } from "../support/count_turns.ts";
import { refusal } from "../support/refusal.ts";
import { makeCa, openTestService } from "../support/service_fixture.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

type ServiceClient = Client<typeof CertificateService>;
type Service = Awaited<ReturnType<typeof open>>;

/** A service on sockets, one for each node and one for the administrator. */
async function open(material: SigningMaterial) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const parts = stack.use(await openTestService({ material }));
  const serve = async (name: string, service: ReturnType<typeof registerService>) => {
    const server = await serveUnix(`${folder.path}/${name}.sock`, {
      services: [service],
      graceMs: 100,
    });
    kept.use(server);
    return `unix://${server.path}`;
  };
  const kept = stack.move();
  const administration = registerService(CertificateAdministration, administrationService(parts));
  const administrator = kept.use(
    connect(CertificateAdministration, { address: await serve("admin", administration) }),
  );
  const clients = new Map<string, Promise<ServiceClient>>();
  const connectDriver = async (node: string) => {
    const caller = { kind: "node", node } as const;
    const authenticator: Authenticator = {
      authenticate: () => Promise.resolve({ kind: "caller", caller }),
    };
    const implementation = certificateService({ ...parts, authenticator });
    // As the program limits it.
    const limits = { reportCertificates: 256 * 1024 };
    const service = registerService(CertificateService, implementation, limits);
    return kept.use(connect(CertificateService, { address: await serve(node, service) }));
  };
  return {
    ...parts,
    /** The client of the drivers on this node. */
    driverOn(node: string): Promise<ServiceClient> {
      const client = clients.get(node) ?? connectDriver(node);
      clients.set(node, client);
      return client;
    },
    /** The listed certificates, a volume's node and state by its id. */
    async list(includeReleased = false) {
      const pages = await Array.fromAsync(administrator.listCertificates({ includeReleased }));
      return Object.fromEntries(
        pages.flatMap(({ certificates }) => certificates).map(({ volumeId, node, state }) => [
          volumeId,
          [node, CertificateState[state]].join(" "),
        ]),
      );
    },
    async nodeList() {
      const pages = await Array.fromAsync(administrator.listNodes({}));
      return pages.flatMap(({ nodes }) => nodes);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Certificates that the CA signed for the volumes of a node's pods. */
async function signed(
  material: SigningMaterial,
  names: readonly string[],
  longNames: readonly string[] = [],
): Promise<MountedCertificate[]> {
  await using service = await openTestService({ material });
  const { publicKey } = await generateKeyPair("ecdsa-p256");
  return await Promise.all(names.map(async (name): Promise<MountedCertificate> => {
    const pod = { namespace: "shop", name, uid: `uid-${name}`, serviceAccount: "web" };
    const commonName = `${name}.shop.svc.cluster.local`;
    const leaf = await service.signer.sign({
      publicKey,
      names: {
        commonName,
        dnsNames: [commonName, ...longNames],
        organizationalUnits: [],
        ipAddresses: [],
        uris: [],
      },
      validity: Temporal.Duration.from({ hours: 1 }),
      extendedKeyUsage: ["clientAuth"],
    });
    assert(leaf.kind === "signed");
    const certificate = leaf.chain[0]!;
    const { serialNumber } = readCertificate(certificate)!;
    return { volumeId: `csi-${name}`, serialNumber, certificate, pod };
  }));
}

/** A driver of which the volumes are given; `ready` resolves when the service knows its last report. */
function startDriver(service: Service, client: ServiceClient, held: MountedCertificate[]) {
  const { clock } = service;
  const reporter = new NodeReporter({ client, clock, random: () => 0, driverVersion: "1.2.3" });
  const stop = new AbortController();
  const source = {
    volumes: () => held,
    readMounted: (ids: ReadonlySet<string>) =>
      Promise.resolve(held.filter(({ volumeId }) => ids.has(volumeId))),
    clockSkewMs: () => 250,
  };
  const ended = reporter.run(source, stop.signal);
  return {
    reporter,
    async stop() {
      stop.abort();
      await ended;
    },
  };
}

/** Until the service knows that the node has so many volumes. */
async function untilReported(service: Service, node: string, volumes: number): Promise<void> {
  const knows = () =>
    service.nodes.all().some((each) => each.name === node && each.volumes === volumes);
  await service.clock.until(knows, 1_000_000);
}

const podNames = (count: number) => Array.from({ length: count }, (_, n) => `web-${n}`);

Deno.test("a restarted service and a restarted driver agree again on what the node has", async () => {
  const material = await makeCa();
  const held = await signed(material, podNames(3));
  await using first = await open(material);
  const before = startDriver(first, await first.driverOn("node-1"), held);
  await untilReported(first, "node-1", 3);
  const all = Object.fromEntries(held.map(({ volumeId }) => [volumeId, "node-1 CURRENT"]));
  assert.deepEqual(await first.list(), all);
  await before.stop();
  await first.clock.advance({ minutes: 10 });
  // While the driver was away, the kubelet removed a volume, and no driver released it.
  const [gone, ...rest] = held;
  const after = startDriver(first, await first.driverOn("node-1"), rest);
  await untilReported(first, "node-1", 2);
  const { [gone!.volumeId]: _, ...present } = all;
  assert.deepEqual(await first.list(), present);
  assert.equal((await first.list(true))[gone!.volumeId], "node-1 RELEASED");
  await after.stop();
  await using second = await open(material);
  const again = startDriver(second, await second.driverOn("node-1"), rest);
  await untilReported(second, "node-1", 2);
  assert.deepEqual(await second.list(true), present);
  const [node, ...others] = await second.nodeList();
  assert.deepEqual(
    [node?.name, node?.driverVersion, node?.clockSkewMs, node?.volumes, node?.silent, others],
    ["node-1", "1.2.3", 250n, 2, false, []],
  );
  await again.stop();
});

Deno.test("a volume that is unpublished is released seconds later, between two reports", async () => {
  const material = await makeCa();
  const held = await signed(material, podNames(2));
  await using service = await open(material);
  const driver = startDriver(service, await service.driverOn("node-1"), held);
  await untilReported(service, "node-1", 2);
  driver.reporter.release(held[0]!);
  await service.clock.advance({ seconds: 3 });
  // The next report is due after 270 s, and the sockets need real time.
  for (let seconds = 3; seconds < 200 && Object.keys(await service.list()).length > 1; seconds++) {
    await service.clock.advance({ seconds: 1 });
  }
  assert.deepEqual(Object.keys(await service.list()), ["csi-web-1"]);
  await driver.stop();
});

Deno.test("a report whose connection ends in the middle releases nothing", async () => {
  const material = await makeCa();
  // Each part of the report contains two of them.
  const names = Array.from({ length: 64 }, (_, n) => `${n}.${"a.".repeat(70)}example.com`);
  const held = await signed(material, podNames(44), names);
  await using service = await open(material);
  const client = await service.driverOn("node-1");
  await startAndStop(service, client, held);
  const stop = new AbortController();
  let calls = 0;
  const broken = {
    ...client,
    reportCertificates: async (...call: Parameters<ServiceClient["reportCertificates"]>) => {
      const answer = await client.reportCertificates(...call);
      if (++calls === 1) stop.abort();
      return answer;
    },
  };
  const { clock } = service;
  await clock.advance({ minutes: 10 });
  const options = { client: broken, clock, random: () => 0, driverVersion: "1.2.3" };
  await new NodeReporter(options).run({
    volumes: () => held.slice(0, 40),
    readMounted: () => Promise.resolve(held.slice(0, 40)),
    clockSkewMs: () => undefined,
  }, stop.signal);
  assert.equal(calls, 1);
  assert.equal(Object.keys(await service.list()).length, 44);
  await service.clock.advance({ minutes: 5 });
  await startAndStop(service, client, held.slice(0, 40));
  assert.equal(Object.keys(await service.list()).length, 40);
});

/** A driver that has reported once. */
async function startAndStop(service: Service, client: ServiceClient, held: MountedCertificate[]) {
  const driver = startDriver(service, client, held);
  await untilReported(service, "node-1", held.length);
  await driver.stop();
}

Deno.test("64 volumes with 64 long names each are reported in parts that the service accepts", async () => {
  const material = await makeCa();
  const names = Array.from({ length: 63 }, (_, n) => `${n}.${"a.".repeat(70)}example.com`);
  const held = await signed(material, podNames(64), names);
  const bytes = held.reduce((sum, { certificate }) => sum + certificate.length, 0);
  assert(bytes > 600_000, `${bytes} bytes`);
  await using service = await open(material);
  await startAndStop(service, await service.driverOn("node-1"), held);
  assert.equal(Object.keys(await service.list()).length, 64);
});

Deno.test("a node with a thousand volumes reports them all, and other work runs meanwhile", async () => {
  const material = await makeCa();
  const held = await signed(material, podNames(1_000));
  await using service = await open(material);
  using turns = countTurns();
  await startAndStop(service, await service.driverOn("node-1"), held);
  assert(turns.now > 1_000, `${turns.now} turns`);
  assert.equal(Object.keys(await service.list()).length, 1_000);
  await service.clock.advance({ minutes: 10 });
  await startAndStop(service, await service.driverOn("node-1"), held.slice(0, 10));
  assert.equal(Object.keys(await service.list()).length, 10);
  assert.equal(Object.keys(await service.list(true)).length, 1_000);
});

Deno.test("a node that claims and releases the volumes of others, or floods, changes none of theirs", async () => {
  const material = await makeCa();
  const held = await signed(material, podNames(3));
  await using service = await open(material);
  await startAndStop(service, await service.driverOn("node-1"), held);
  await service.clock.advance({ minutes: 10 });
  const hostile = await service.driverOn("node-2");
  const expected = await service.list(true);
  const ids = held.map(({ volumeId }) => volumeId);
  await hostile.reportCertificates({ reportId: "r", isLast: true, volumeIds: [] });
  await hostile.reportCertificates({ reportId: "s", isLast: true, volumeIds: ids });
  const released = held.map(({ volumeId, serialNumber }) => ({ volumeId, serialNumber }));
  await hostile.reportCertificates({ released });
  // The certificates of other nodes' pods, as its own.
  await hostile.reportCertificates({
    certificates: held.map(({ certificate, pod, volumeId }) => (
      { certificate, pod: { ...pod }, volumeId }
    )),
  });
  assert.deepEqual(await service.list(true), expected);
  const states = service.nodes.all().map(({ name, volumes }) => [name, volumes]);
  assert.deepEqual(states, [["node-1", 3], ["node-2", undefined]]);
  const long = Array.from({ length: 1_001 }, (_, n) => `csi-${n}`);
  for (
    const [message, expected] of [
      [{ volumeIds: long }, /^volume_ids: has 1001 entries, expected at most 1000$/],
      [{ volumeIds: ["../x"] }, /^volume_ids\[0\]: is "\.\.\/x", expected/],
      [{ released: [{ volumeId: "csi-1", serialNumber: "x" }] }, /^released\[0\]\.serial_number/],
      [{ reportId: "a b" }, /^report_id: is "a b", expected/],
      [{ driverVersion: "v".repeat(65) }, /^driver_version: is "v+.*expected at most 64/],
    ] as const
  ) {
    const error = await refusal(hostile.reportCertificates(message as never));
    assert.match(error.message, expected);
  }
});
