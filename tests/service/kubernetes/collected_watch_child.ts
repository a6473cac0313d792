// A watch that is open while garbage is collected, and aborted afterwards; prints how it ended.
// Runs with --v8-flags=--expose-gc.
import { ApiClient } from "../../../src/service/kubernetes/api_client.ts";
import { createTokenReviews } from "../../../src/service/kubernetes/permissions.ts";
import { systemClock } from "../../../src/shared/scheduler/system_clock.ts";

declare function gc(): void;

const body = () => new ReadableStream({ start: (stream) => stream.enqueue(new Uint8Array([10])) });
const server = Deno.serve({ port: 0, onListen() {} }, () => new Response(body()));
const nothing = () => Promise.resolve(undefined);
const access = {
  server: `http://127.0.0.1:${server.addr.port}`,
  caPem: nothing,
  token: nothing,
  identity: nothing,
};
const connection = new ApiClient(access, { clock: systemClock });
const stopping = new AbortController();
const watch = await connection.watch(createTokenReviews, "/", {}, stopping.signal);
if (watch.kind !== "answer") throw new Error(watch.kind);
const ended = Array.fromAsync(watch.value).then(() => "ended", () => "aborted");
for (let turn = 0; turn < 5; turn++) {
  await fetch(`${access.server}/`).then((response) => response.body?.cancel());
  gc();
}
stopping.abort();
console.log(await ended);
Deno.exit();
