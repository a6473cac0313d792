import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../src/shared/gen/health_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { HealthService } from "../../../src/service/api/health_service.ts";
import { serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

async function serving() {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const health = new HealthService();
  const services = [health.registered()];
  const server = stack.use(await serveUnix(`${folder.path}/x.sock`, { services, graceMs: 60_000 }));
  const client = stack.use(connect(Health, { address: `unix://${server.path}` }));
  return { health, client, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("a check returns the state of the server and of each service", async () => {
  await using served = await serving();
  const check = async (service: string) => (await served.client.check({ service })).status;
  assert.equal(await check(""), Status.NOT_SERVING);
  served.health.setStatus("", true);
  served.health.setStatus("certservice.v1.CertificateService", false);
  assert.equal(await check(""), Status.SERVING);
  assert.equal(await check("certservice.v1.CertificateService"), Status.NOT_SERVING);
});

Deno.test("a check for an unknown service is NOT_FOUND and names it", async () => {
  await using served = await serving();
  await assert.rejects(served.client.check({ service: "nope" }), (error: Error) => {
    assert.equal("code" in error && error.code, status.NOT_FOUND);
    assert.match(error.message, /no service "nope"/);
    return true;
  });
});

Deno.test("a watch yields the state at once and after each change, also of a service that is added later", async () => {
  await using served = await serving();
  const watch = served.client.watch({ service: "late" })[Symbol.asyncIterator]();
  const next = async () => (await watch.next()).value.status;
  assert.equal(await next(), Status.SERVICE_UNKNOWN);
  served.health.setStatus("late", false);
  assert.equal(await next(), Status.NOT_SERVING);
  served.health.setStatus("late", false);
  served.health.setStatus("other", true);
  served.health.setStatus("late", true);
  assert.equal(await next(), Status.SERVING);
  await watch.return?.();
});

Deno.test("two watches of one service both see a change", async () => {
  await using served = await serving();
  const watches = [1, 2].map(() => served.client.watch({})[Symbol.asyncIterator]());
  const next = () => Promise.all(watches.map(async (watch) => (await watch.next()).value.status));
  assert.deepEqual(await next(), [Status.NOT_SERVING, Status.NOT_SERVING]);
  served.health.setStatus("", true);
  assert.deepEqual(await next(), [Status.SERVING, Status.SERVING]);
  await Promise.all(watches.map((watch) => watch.return?.()));
});
