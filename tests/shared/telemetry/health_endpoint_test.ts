import assert from "node:assert/strict";
import { serveHealth } from "../../../src/shared/telemetry/health_endpoint.ts";

const address = { hostname: "127.0.0.1", port: 0 };
const well = () => ({ ok: true, detail: "all volumes are fresh" });
const unwell = () => ({ ok: false, detail: "starting\n2 of 5 volumes are restored" });

async function get(port: number, path: string, init?: RequestInit) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return { status: response.status, body: await response.text(), headers: response.headers };
}

Deno.test("a check that is ok answers 200, one that is not 503, and both state why", async () => {
  await using health = serveHealth(address, { live: well, ready: unwell });
  const live = await get(health.port, "/livez");
  assert.equal(live.status, 200);
  assert.equal(live.body, "ok\nall volumes are fresh\n");
  assert.equal(live.headers.get("content-type"), "text/plain; charset=utf-8");
  assert.equal(live.headers.get("cache-control"), "no-store");
  const ready = await get(health.port, "/readyz?verbose");
  assert.equal(ready.status, 503);
  assert.equal(ready.body, "not ok\nstarting\n2 of 5 volumes are restored\n");
});

Deno.test("a check is made again for each request", async () => {
  let ok = false;
  await using health = serveHealth(address, { live: well, ready: () => ({ ok, detail: "" }) });
  assert.equal((await get(health.port, "/readyz")).status, 503);
  ok = true;
  assert.equal((await get(health.port, "/readyz")).status, 200);
});

Deno.test("a check that throws answers 503 with the reason", async () => {
  const ready = () => {
    throw new Error("the table is gone");
  };
  await using health = serveHealth(address, { live: well, ready });
  const { status, body } = await get(health.port, "/readyz");
  assert.equal(status, 503);
  assert.equal(body, "the check failed: the table is gone\n");
});

Deno.test("metrics are served where there are any", async () => {
  await using health = serveHealth(address, { live: well, ready: well, metrics: () => "up 1\n" });
  const { status, body, headers } = await get(health.port, "/metrics");
  assert.equal(status, 200);
  assert.equal(body, "up 1\n");
  assert.equal(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  await using bare = serveHealth(address, { live: well, ready: well });
  assert.equal((await get(bare.port, "/metrics")).status, 404);
});

Deno.test("other paths are not found, and other methods not allowed", async () => {
  await using health = serveHealth(address, { live: well, ready: well });
  for (const path of ["/", "/healthz", "/livez/", "/LIVEZ"]) {
    assert.equal((await get(health.port, path)).status, 404, path);
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const { status, headers } = await get(health.port, "/livez", { method });
    assert.equal(status, 405, method);
    assert.equal(headers.get("allow"), "GET, HEAD");
  }
});

Deno.test("an address that is taken is refused with its name and the reason", async () => {
  await using health = serveHealth(address, { live: well, ready: well });
  assert.throws(
    () => serveHealth({ ...address, port: health.port }, { live: well, ready: well }),
    new RegExp(`cannot listen on 127.0.0.1:${health.port}: .*in use`),
  );
});

Deno.test("disposal does not wait for a client that never finishes its request, and frees the port", async () => {
  const health = serveHealth(address, { live: well, ready: well });
  using idle = await Deno.connect({ hostname: "127.0.0.1", port: health.port });
  await idle.write(new TextEncoder().encode("GET /livez HTTP/1.1\r\nhost: a\r\n"));
  assert.equal((await get(health.port, "/livez")).status, 200);
  await health[Symbol.asyncDispose]();
  await health[Symbol.asyncDispose]();
  await using _next = serveHealth({ ...address, port: health.port }, { live: well, ready: well });
});

Deno.test("[::] serves clients of IPv4 and of IPv6", async () => {
  await using health = serveHealth({ hostname: "::", port: 0 }, { live: well, ready: well });
  for (const host of ["127.0.0.1", "[::1]"]) {
    const response = await fetch(`http://${host}:${health.port}/livez`);
    await response.body?.cancel();
    assert.equal(response.status, 200, host);
  }
});
