import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ApiConnections } from "../../../src/service/kubernetes/api_connections.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";
import { openApi } from "./kubernetes_fixture.ts";

/** Calls the server in a program of its own, whose runtime trusts the server's CA as it trusts public ones. */
async function callsOf(server: { url: string; authorityPem: string }, caPem: string) {
  await using folder = await temporaryFolder();
  const [trusted, given] = ["trusted.crt", "given.crt"].map((name) => join(folder.path, name));
  await Deno.writeTextFile(trusted!, server.authorityPem);
  await Deno.writeTextFile(given!, caPem);
  const child = fileURLToPath(new URL("public_root_child.ts", import.meta.url));
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", child, server.url, given!],
    env: { DENO_CERT: trusted! },
    stdin: "null",
    signal: AbortSignal.timeout(60_000),
  }).output();
  const [out = "", errors = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.notEqual(out, "", errors);
  return JSON.parse(out) as { runtime: unknown; answers: string[] };
}

Deno.test("an API server of a CA that the runtime trusts, and not the cluster, is rejected and receives no token", async () => {
  await using api = await openApi();
  const cluster = await TestCa.create("the cluster's CA");
  const { runtime, answers } = await callsOf(api.server, cluster.certificatePem);
  assert.equal(runtime, 401, "the runtime itself has to trust the server");
  assert.equal(answers.length, 3);
  for (const answer of answers) assert.match(answer, /the cluster's CA does not verify its cert/);
  assert.deepEqual(api.server.calls.map(({ token }) => token), [undefined]);
});

Deno.test("an API server of the cluster's CA is called", async () => {
  await using api = await openApi();
  const { answers } = await callsOf(api.server, api.server.authorityPem);
  const [pod, watch, keys] = answers;
  assert.deepEqual([pod, keys], ["absent", "answer"]);
  assert.match(watch ?? "", /may not watch secrets/);
});

Deno.test("the client certificate of a kubeconfig is shown, and HTTP/1.1 is spoken", async () => {
  const ca = await TestCa.create("the cluster's CA");
  const [own, client] = [await ca.issue("127.0.0.1"), await ca.issue("client.example")];
  const socketOf = (request: IncomingMessage) =>
    request.socket as unknown as { authorized: boolean; alpnProtocol: string };
  const server = createServer({
    cert: own.certificatePem,
    key: own.privateKeyPem,
    ca: ca.certificatePem,
    requestCert: true,
  }, (request: IncomingMessage, response: ServerResponse) => {
    const { authorized, alpnProtocol } = socketOf(request);
    response.end(JSON.stringify([authorized, alpnProtocol]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  await using _serving = {
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  using connections = new ApiConnections({ trustAnchors: ca.certificatePem, identity: client });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const { signal } = new AbortController();
  const answer = await connections.send(url, { method: "GET", headers: {} }, signal);
  const [text] = await Array.fromAsync(answer, (chunk) => new TextDecoder().decode(chunk));
  assert.equal(text, '[true,"http/1.1"]');
});
