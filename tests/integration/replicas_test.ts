import { entryOf } from "../support/inventory_entries.ts";
import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { ReplicaIdentity } from "../../src/service/issuing/replica_identity.ts";
import {
  CertificateAdministration,
  CertificatePeers,
  type ListCertificatesResponse,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { fixedIdentity } from "../../src/shared/grpc_client/client_identity.ts";
import { serverName } from "../../src/shared/text/product_names.ts";
import { attestDriver } from "../support/attested_driver.ts";
import { composeService } from "../support/composed_service.ts";
import { refusal } from "../support/refusal.ts";
import { type AttackedService, leafOf, openService, request, wait } from "./attack_fixture.ts";

/** A port that is free on every address of this machine. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  return listener.addr.port;
}

/** Three replicas of the service, each at its own address of the loopback network, and an address where none is. */
async function openReplicas() {
  const port = freePort();
  const at = (n: number) => `127.0.0.${n}:${port}`;
  const PEERS = [1, 2, 3].map(at).join(",");
  await using stack = new AsyncDisposableStack();
  const first = stack.use(await openService({ LISTEN_ADDR: at(1), PEERS }));
  const start = (n: number, variables: Record<string, string> = {}) => {
    const ADMIN_SOCKET = `${first.variables.ADMIN_SOCKET}.${n}`;
    const changed = { LISTEN_ADDR: at(n), PEERS, ADMIN_SOCKET, ...variables };
    return composeService({ ...first.variables, ...changed }, first.clock);
  };
  const kept = stack.move();
  return {
    first,
    at,
    start,
    /** What a driver of node-1 issues or renews at a replica for one of the pods; its serial number. */
    issue: async (n: number, attestationPort: number, pod: string, predecessor?: string) => {
      const target = { ...first.target, address: `https://${at(n)}`, attestationPort };
      await using driver = await attestDriver(target, "node-1", first.clock);
      const uid = `uid-of-${pod}`;
      first.put({ metadata: { name: pod, uid } });
      const asked = await request();
      const named = { ...asked, pod: { ...asked.pod, name: pod, uid } };
      const { client } = driver;
      const answer = predecessor === undefined
        ? await client.issueCertificate(named, wait)
        : await client.renewCertificate({ ...named, predecessorSerialNumber: predecessor }, wait);
      return leafOf(answer).serialNumber;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function listed({ administrator }: Pick<AttackedService, "administrator">) {
  return summary(await Array.fromAsync(administrator.listCertificates({}, wait)));
}

function summary(messages: readonly ListCertificatesResponse[]) {
  return {
    serials: messages.flatMap(({ certificates }) => certificates.map((one) => one.serialNumber)),
    missing: messages.flatMap(({ missingReplicas }) => missingReplicas.map((one) => one.address)),
  };
}

Deno.test("three replicas answer an administrator together, and the answer names one that is stopped", async () => {
  await using replicas = await openReplicas();
  const { first, issue, at } = replicas;
  await using second = await replicas.start(2);
  const third = await replicas.start(3);
  const renewedAtFirst = await issue(1, first.attestationPort, "web-b");
  const atThird = await issue(3, third.attestationPort, "web-a");
  const atSecond = await issue(2, second.attestationPort, "web-c");
  // The driver's connection has moved to another replica: the first one does not know of this renewal.
  const current = await issue(2, second.attestationPort, "web-b", renewedAtFirst);
  assert.deepEqual(await listed(first), { serials: [atThird, current, atSecond], missing: [] });
  using administrator = connect(CertificateAdministration, {
    address: `unix://${first.variables.ADMIN_SOCKET}.2`,
  });
  assert.deepEqual(await listed({ administrator }), await listed(first));

  const get = (serialNumber: string) =>
    first.administrator.getCertificateInfo({ serialNumber }, wait);
  assert.equal((await get(atThird)).certificate?.pod?.name, "web-a");
  const renewed = await refusal(get(renewedAtFirst));
  assert.deepEqual([renewed.code, renewed.message.includes(current)], [status.NOT_FOUND, true]);
  assert.equal((await refusal(get("a1"))).code, status.NOT_FOUND);

  const target = { case: "serialNumber", value: atThird } as const;
  const { podUid } = await first.administrator.revokeCertificate({ target }, wait);
  assert.equal(podUid, "uid-of-web-a");

  await third[Symbol.asyncDispose]();
  assert.deepEqual(await listed(first), { serials: [current, atSecond], missing: [at(3)] });
  const unknown = await refusal(get(atThird));
  assert.equal(unknown.code, status.UNAVAILABLE);
  assert.ok(unknown.message.includes(`these did not answer: ${at(3)} (`), unknown.message);
  const { certificate, missingReplicas } = await get(current);
  assert.deepEqual(
    [certificate?.serialNumber, missingReplicas.map(({ address }) => address)],
    [current, [at(3)]],
  );
});

Deno.test("a replica that is restarted in the middle of a list is named, and is asked again for the next one", async () => {
  await using replicas = await openReplicas();
  const { first, at } = replicas;
  await using _second = await replicas.start(2);
  const third = await replicas.start(3);
  const serial = await replicas.issue(3, third.attestationPort, "web");
  const entry = third.inventory.get(serial);
  assert.ok(entry !== undefined);
  for (let n = 0; n < 20_000; n++) {
    const pod = { ...entry.pod, name: `pod-${n}`, uid: `uid-${n}` };
    third.inventory.add({ ...entryOf(entry), pod, serialNumber: n.toString(16).padStart(32, "0") });
  }
  const messages: ListCertificatesResponse[] = [];
  let restarted: Awaited<ReturnType<typeof replicas.start>> | undefined;
  for await (const message of first.administrator.listCertificates({}, wait)) {
    messages.push(message);
    if (restarted !== undefined) continue;
    await third[Symbol.asyncDispose]();
    restarted = await replicas.start(3);
  }
  await using _restarted = restarted;
  const { serials, missing } = summary(messages);
  assert.ok(serials.length > 0 && serials.length < 20_001, `${serials.length}`);
  assert.deepEqual(missing, [at(3)]);
  assert.deepEqual(await listed(first), { serials: [], missing: [] });
});

Deno.test("fifty administrators who ask one replica at once share its connections to the others", async () => {
  await using replicas = await openReplicas();
  const { first } = replicas;
  await using second = await replicas.start(2);
  await using _third = await replicas.start(3);
  const serial = await replicas.issue(2, second.attestationPort, "web");
  const lists = await Promise.all(Array.from({ length: 50 }, () => listed(first)));
  for (const list of lists) assert.deepEqual(list, { serials: [serial], missing: [] });
  assert.equal(second.refusedConnections("node"), 0);
});

Deno.test("replicas call only the methods for replicas, and no other caller does", async () => {
  await using replicas = await openReplicas();
  const { first } = replicas;
  const { clock, engine, address, trustBundlePem } = first;
  const tls = { address, serverName, trustBundle: () => trustBundlePem };
  const driver = first.identity?.current();
  assert.ok(driver !== undefined);
  using asDriver = connect(CertificatePeers, { ...tls, clientIdentity: fixedIdentity(driver) });
  for (
    const call of [
      asDriver.findCertificate({ serialNumber: "a1" }, wait),
      Array.fromAsync(asDriver.listOwnCertificates({}, wait)),
      Array.fromAsync(asDriver.listOwnNodes({}, wait)),
    ]
  ) assert.equal((await refusal(call)).code, status.PERMISSION_DENIED);

  const identity = new ReplicaIdentity(
    { nodeCas: first.nodeCas, trustDomain: "cluster.local", clock, engine },
    "another",
  );
  const asReplica = first.as(await identity.current());
  assert.equal(
    (await refusal(asReplica.issueCertificate(await request(), wait))).code,
    status.PERMISSION_DENIED,
  );
  assert.equal(
    (await refusal(asReplica.reportCertificates({}, wait))).code,
    status.PERMISSION_DENIED,
  );
  assert.equal(
    (await refusal(Array.fromAsync(asReplica.watchTrustBundle({}, wait)))).code,
    status.PERMISSION_DENIED,
  );
});
