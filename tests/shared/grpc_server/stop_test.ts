import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { serveUnix } from "../../../src/shared/grpc_server/server.ts";
import type { CallContext } from "../../../src/shared/grpc/service_definition.ts";
import { stubService } from "../../support/stub_service.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

/** A server whose one call waits until the test lets it go, or for ever. */
async function serving(graceMs: number) {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const entered = Promise.withResolvers<CallContext>();
  const release = Promise.withResolvers<void>();
  const services = [
    stubService(CertificateService, {
      async reportCertificates(_, context) {
        entered.resolve(context);
        const { signal } = context;
        const aborted = new Promise<never>((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason))
        );
        await Promise.race([release.promise, aborted]);
        return {};
      },
      async *watchTrustBundle() {
        yield { certificates: [] };
        await new Promise(() => {});
      },
    }),
  ];
  const server = await serveUnix(`${folder.path}/test.sock`, { services, graceMs });
  const client = stack.use(connect(CertificateService, { address: `unix://${server.path}` }));
  return {
    server,
    client,
    entered: entered.promise,
    release: release.resolve,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const unavailable = (error: unknown) =>
  error instanceof RpcError && error.code === status.UNAVAILABLE;

Deno.test("a stopping server finishes its call and accepts no other", async () => {
  await using served = await serving(60_000);
  const call = served.client.reportCertificates({});
  const { signal } = await served.entered;
  const stopped = served.server[Symbol.asyncDispose]();
  using newcomer = connect(CertificateService, { address: `unix://${served.server.path}` });
  await assert.rejects(newcomer.reportCertificates({}), unavailable);
  assert.equal(signal.aborted, false);
  served.release();
  await call;
  await stopped;
});

Deno.test("a call that outlasts the grace is aborted, and its caller receives the reason", async () => {
  await using served = await serving(20);
  const call = served.client.reportCertificates({});
  const { signal } = await served.entered;
  const refused = assert.rejects(call, {
    code: status.UNAVAILABLE,
    message: "the server is stopping",
  });
  await served.server[Symbol.asyncDispose]();
  assert.equal(signal.aborted, true);
  await refused;
});

Deno.test("streams end at once when the server stops, however long the grace", async () => {
  await using served = await serving(60_000);
  const stream = served.client.watchTrustBundle({})[Symbol.asyncIterator]();
  assert.equal((await stream.next()).done, false);
  const ended = assert.rejects(stream.next(), {
    code: status.UNAVAILABLE,
    message: "the server is stopping",
  });
  await served.server[Symbol.asyncDispose]();
  await ended;
});

Deno.test("an idle client keeps no server from stopping", async () => {
  await using served = await serving(60_000);
  served.release();
  await served.client.reportCertificates({});
  await served.server[Symbol.asyncDispose]();
});

// Deno's HTTP/2 client dies of the GOAWAY by which grpc-js servers usually stop.
Deno.test("a client with many calls behind it survives that its server stops", async () => {
  const child = new URL("server_stops_child.ts", import.meta.url).pathname;
  const { code, signal, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", child],
    stderr: "null",
  }).output();
  const output = new TextDecoder().decode(stdout);
  assert.deepEqual([code, signal, output], [0, null, `code ${status.UNAVAILABLE}\n`]);
});
