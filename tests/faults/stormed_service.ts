/**
 * The service on the unix socket SOCKET, for a storm: the pod's name stands for the node, since a
 * certificate for each node would need a connection for each, and CAPACITY bounds the queue. At a
 * SIGUSR1 it reports how many requests waited at most, at a SIGUSR2 how much memory it uses.
 */
import type { Authenticator } from "../../src/service/access/authenticator.ts";
import { FairQueue } from "../../src/shared/scheduler/fair_queue.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { registerService, serveUnix } from "../../src/shared/grpc_server/server.ts";
import { certificateService } from "../../src/service/api/certificate_service.ts";
import { systemClock } from "../../src/shared/scheduler/system_clock.ts";
import { serveHealth } from "../../src/shared/telemetry/health_endpoint.ts";
import { makeCa, openTestService } from "../support/service_fixture.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { heldMemory } from "./garbage.ts";
import { LagProbe } from "./observing.ts";

/** Reads the bytes in a certificate's place as the node's name. */
const byName: Authenticator = {
  authenticate: ({ peerCertificate }) => {
    const node = new TextDecoder().decode(peerCertificate);
    return Promise.resolve({ kind: "caller", caller: { kind: "node", node } });
  },
};

const clock = new FakeClock(Temporal.Instant.fromEpochMilliseconds(Date.now()));
const queue = new FairQueue({
  clock: systemClock,
  concurrency: 4,
  capacity: Number(Deno.env.get("CAPACITY")),
});
const lookup = new FairQueue({ clock: systemClock, concurrency: 16 });
const material = await makeCa({}, clock.now());
const parts = await openTestService({ clock, material, queues: { lookup, signature: queue } });
const service = certificateService({ ...parts, authenticator: byName });
let mostWaiting = 0;
/** Certificates that were signed while this many requests waited: then the order of the queue matters. */
const contended = 1_000;
const signed = { greedy: 0, others: 0 };
const implementation: typeof service = {
  ...service,
  issueCertificate: async (message, context) => {
    const peerCertificate = new TextEncoder().encode(message.pod?.name ?? "");
    mostWaiting = Math.max(mostWaiting, queue.waiting);
    const answer = await service.issueCertificate(message, { ...context, peerCertificate });
    if (queue.waiting >= contended) signed[message.pod?.name === "greedy" ? "greedy" : "others"]++;
    return answer;
  },
};
const path = Deno.env.get("SOCKET") ?? "";
const services = [registerService(CertificateService, implementation)];
await using _server = await serveUnix(path, { services });
const ok = () => ({ ok: true, detail: "serving" });
await using health = serveHealth({ hostname: "127.0.0.1", port: 0 }, { live: ok, ready: ok });
using lag = new LagProbe();
Deno.addSignalListener("SIGUSR1", () => {
  console.log(JSON.stringify({ message: "storm", mostWaiting, signed, lag: lag.summary }));
});
Deno.addSignalListener("SIGUSR2", () => {
  console.log(JSON.stringify({ message: "memory", ...heldMemory() }));
});
const healthAddress = `127.0.0.1:${health.port}`;
console.log(JSON.stringify({ message: "ready", event: "ready", address: path, healthAddress }));
await new Promise(() => {});
