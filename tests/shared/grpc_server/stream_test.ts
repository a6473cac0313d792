import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import {
  CertificateAdministration,
  CertificateService,
} from "../../../src/shared/gen/certificate_service_pb.ts";
import type { CompletedCall } from "../../../src/shared/grpc_server/call.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { serveUnix } from "../../../src/shared/grpc_server/server.ts";
import type { ServiceImplementation } from "../../../src/shared/grpc/service_definition.ts";
import { stubService } from "../../support/stub_service.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

type Methods =
  & Partial<ServiceImplementation<typeof CertificateService>>
  & Partial<ServiceImplementation<typeof CertificateAdministration>>;

async function serving(methods: Methods) {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const ended = Promise.withResolvers<CompletedCall>();
  const server = stack.use(
    await serveUnix(`${folder.path}/test.sock`, {
      services: [
        stubService(CertificateService, methods),
        stubService(CertificateAdministration, methods),
      ],
      onCall: (call) => ended.resolve(call),
    }),
  );
  const address = `unix://${server.path}`;
  const client = {
    ...stack.use(connect(CertificateService, { address })),
    ...stack.use(connect(CertificateAdministration, { address })),
  };
  return { client, ended: ended.promise, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

type Page = { readonly certificates: readonly { readonly serialNumber: string }[] };

async function collect(stream: AsyncIterable<Page>): Promise<string[]> {
  const pages = await Array.fromAsync(stream);
  return pages.flatMap(({ certificates }) => certificates.map((each) => each.serialNumber));
}

Deno.test("a stream's messages arrive in order, far more of them than fit into any buffer", async () => {
  await using served = await serving({
    async *listCertificates() {
      const commonName = "x".repeat(200);
      for (let n = 0; n < 2000; n++) yield { certificates: [{ serialNumber: `${n}`, commonName }] };
    },
  });
  const numbers = await collect(served.client.listCertificates({}));
  assert.deepEqual(numbers, Array.from({ length: 2000 }, (_, n) => String(n)));
  assert.equal((await served.ended).code, status.OK);
});

Deno.test("an error in the middle of a stream comes after the messages before it", async () => {
  await using served = await serving({
    async *listCertificates() {
      yield { certificates: [{ serialNumber: "1" }] };
      throw new RpcError(status.DATA_LOSS, "torn", { retryAfterMs: 7 });
    },
  });
  const seen: string[] = [];
  await assert.rejects(
    async () => {
      for await (const { certificates: [first] } of served.client.listCertificates({})) {
        seen.push(first?.serialNumber ?? "");
      }
    },
    (error) =>
      error instanceof RpcError && error.code === status.DATA_LOSS && error.message === "torn" &&
      error.retryAfterMs === 7,
  );
  assert.deepEqual(seen, ["1"]);
});

Deno.test("leaving a stream early cancels the call and lets the method clean up", async () => {
  const cleaned = Promise.withResolvers<boolean>();
  await using served = await serving({
    async *watchTrustBundle(_, { signal }) {
      try {
        for (;;) yield { certificates: [] };
      } finally {
        cleaned.resolve(signal.aborted);
      }
    },
  });
  for await (const _ of served.client.watchTrustBundle({})) break;
  assert.equal(await cleaned.promise, true);
  assert.equal((await served.ended).code, status.CANCELLED);
});

Deno.test("a caller's signal ends a stream that waits for its next message", async () => {
  await using served = await serving({
    async *watchTrustBundle() {
      yield { certificates: [] };
      await new Promise(() => {});
    },
  });
  const controller = new AbortController();
  await assert.rejects(
    async () => {
      const { signal } = controller;
      for await (const _ of served.client.watchTrustBundle({}, { signal })) controller.abort();
    },
    (error) => error instanceof RpcError && error.code === status.CANCELLED,
  );
  // The method ignores the signal, and the call ends all the same.
  assert.equal((await served.ended).code, status.CANCELLED);
});

Deno.test("a stream method that throws before its first message fails the call", async () => {
  await using served = await serving({
    listCertificates: () => {
      throw new Error("no inventory");
    },
  });
  await assert.rejects(
    collect(served.client.listCertificates({})),
    (error) => error instanceof RpcError && error.code === status.INTERNAL,
  );
});
