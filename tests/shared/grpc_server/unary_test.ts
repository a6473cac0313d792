import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { Registration } from "../../../src/shared/gen/plugin_registration_pb.ts";
import type { CompletedCall } from "../../../src/shared/grpc_server/call.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { serveUnix } from "../../../src/shared/grpc_server/server.ts";
import type {
  CallContext,
  ServiceImplementation,
} from "../../../src/shared/grpc/service_definition.ts";
import { sendBytes } from "../../support/grpc_probe.ts";
import { stubService } from "../../support/stub_service.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

type GetInfo = ServiceImplementation<typeof Registration>["getInfo"];

/** A server with one method and a client of it. */
async function serving(getInfo: GetInfo) {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const ended: CompletedCall[] = [];
  const server = stack.use(
    await serveUnix(`${folder.path}/test.sock`, {
      services: [stubService(Registration, { getInfo })],
      onCall: (call) => ended.push(call),
    }),
  );
  const target = `unix:${server.path}`;
  const client = stack.use(connect(Registration, { address: `unix://${server.path}` }));
  return { client, ended, target, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function failureOf(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(() => assert.fail("the call succeeded"), (error) => error);
  assert.ok(error instanceof RpcError, String(error));
  return error;
}

Deno.test("a method's answer reaches the caller, and the call is reported once", async () => {
  await using served = await serving(() => Promise.resolve({ name: "a-plugin" }));
  assert.equal((await served.client.getInfo({})).name, "a-plugin");
  const method = "/pluginregistration.Registration/GetInfo";
  assert.deepEqual(served.ended.map(({ ms: _, ...call }) => call), [{ method, code: 0 }]);
});

Deno.test("an RpcError becomes the call's status with its message and retry delay, without its cause", async () => {
  const cause = new Error("secret detail");
  const thrown = new RpcError(status.RESOURCE_EXHAUSTED, "busy: später", {
    cause,
    retryAfterMs: 1500.4,
  });
  await using served = await serving(() => Promise.reject(thrown));
  const error = await failureOf(served.client.getInfo({}));
  assert.equal(error.code, status.RESOURCE_EXHAUSTED);
  assert.equal(error.message, "busy: später");
  assert.equal(error.retryAfterMs, 1500);
  assert.equal(served.ended[0]?.error, thrown);
});

Deno.test("any other error is INTERNAL and keeps its words to the log", async () => {
  const thrown = new TypeError("the password is 1234");
  await using served = await serving(() => {
    throw thrown;
  });
  const error = await failureOf(served.client.getInfo({}));
  assert.equal(error.code, status.INTERNAL);
  assert.equal(error.message, "internal error; see the log");
  assert.equal(served.ended[0]?.code, status.INTERNAL);
  assert.equal(served.ended[0]?.error, thrown);
});

Deno.test("a message that no header can carry is made to fit, not lost", async () => {
  await using served = await serving(() =>
    Promise.reject(new RpcError(status.ABORTED, `\ud800\n${"x".repeat(100_000)}`))
  );
  const error = await failureOf(served.client.getInfo({}));
  assert.equal(error.code, status.ABORTED);
  assert.equal(error.message.slice(0, 4), "\ufffd\nxx");
});

Deno.test("an unknown method is UNIMPLEMENTED and named", async () => {
  await using served = await serving(() => Promise.resolve({}));
  const error = await sendBytes(served.target, "/csi.v1.Controller/Nope", new Uint8Array());
  assert.equal(error?.code, status.UNIMPLEMENTED);
  assert.match(error.details, /\/csi\.v1\.Controller\/Nope/);
});

Deno.test("bytes that are no message are INVALID_ARGUMENT", async () => {
  await using served = await serving(() => Promise.resolve({}));
  const method = "/pluginregistration.Registration/GetInfo";
  const error = await sendBytes(served.target, method, new Uint8Array([0x0a, 0xff]));
  assert.equal(error?.code, status.INVALID_ARGUMENT);
  assert.match(error.details, /the bytes are not a pluginregistration\.InfoRequest/);
});

Deno.test("a request beyond the limit is RESOURCE_EXHAUSTED and states both sizes", async () => {
  await using served = await serving(() => Promise.resolve({}));
  const method = "/pluginregistration.Registration/GetInfo";
  const error = await sendBytes(served.target, method, new Uint8Array(64 * 1024 + 1));
  assert.equal(error?.code, status.RESOURCE_EXHAUSTED);
  assert.match(error.details, /65537 vs\.? 65536/);
});

/** A method that waits for its signal, and what the signal brought. */
function waiting() {
  const entered = Promise.withResolvers<CallContext>();
  const aborted = Promise.withResolvers<unknown>();
  const getInfo: GetInfo = (_, context) => {
    entered.resolve(context);
    const { signal } = context;
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => {
        aborted.resolve(signal.reason);
        reject(signal.reason);
      })
    );
  };
  return { getInfo, entered: entered.promise, aborted: aborted.promise };
}

Deno.test("a caller that cancels aborts the method's signal and gets CANCELLED", async () => {
  const method = waiting();
  await using served = await serving(method.getInfo);
  const controller = new AbortController();
  const call = failureOf(served.client.getInfo({}, { signal: controller.signal }));
  await method.entered;
  controller.abort();
  assert.equal((await call).code, status.CANCELLED);
  const reason = await method.aborted;
  assert.ok(reason instanceof RpcError && reason.code === status.CANCELLED);
});

Deno.test("a deadline that passes aborts the method's signal and the caller gets DEADLINE_EXCEEDED", async () => {
  const method = waiting();
  await using served = await serving(method.getInfo);
  const call = failureOf(served.client.getInfo({}, { timeoutMs: 60 }));
  assert.equal((await call).code, status.DEADLINE_EXCEEDED);
  const reason = await method.aborted;
  assert.ok(reason instanceof RpcError && reason.code === status.DEADLINE_EXCEEDED);
});

Deno.test("a signal that is aborted already sends nothing", async () => {
  await using served = await serving(() => Promise.resolve({}));
  const error = await failureOf(served.client.getInfo({}, { signal: AbortSignal.abort() }));
  assert.equal(error.code, status.CANCELLED);
  assert.equal(served.ended.length, 0);
});

Deno.test("disposing a client cancels the calls that run on it", async () => {
  const method = waiting();
  await using served = await serving(method.getInfo);
  const call = failureOf(served.client.getInfo({}));
  await method.entered;
  served.client[Symbol.dispose]();
  assert.equal((await call).code, status.CANCELLED);
  await method.aborted;
});

Deno.test("a report of a call that throws harms neither the call nor the server", async () => {
  await using folder = await temporaryFolder();
  await using server = await serveUnix(`${folder.path}/x.sock`, {
    services: [stubService(Registration, { getInfo: () => Promise.resolve({ name: "x" }) })],
    onCall: () => {
      throw new Error("the disk is full");
    },
  });
  using client = connect(Registration, { address: `unix://${server.path}` });
  for (const _ of [1, 2]) assert.equal((await client.getInfo({})).name, "x");
});
