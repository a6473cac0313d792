import assert from "node:assert/strict";
import { join } from "node:path";
import { readApiCredentials } from "../../../src/service/kubernetes/api_credentials.ts";
import type { ApiResult } from "../../../src/service/kubernetes/api_result.ts";
import { ApiClient } from "../../../src/service/kubernetes/api_client.ts";
import { apiServerDriverPods } from "../../../src/service/kubernetes/driver_pods.ts";
import { apiServerPodDirectory } from "../../../src/service/kubernetes/pod_directory.ts";
import { getPods } from "../../../src/service/kubernetes/permissions.ts";
import { podObject } from "../../../scripts/support/api_pod.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { accessTo, driver, never, openApi } from "./kubernetes_fixture.ts";

function getPod(connection: ApiClient, signal = never) {
  return connection.call(
    getPods,
    signal,
    ({ core }) => core.readNamespacedPod({ namespace: "shop", name: "web-0" }),
  );
}

function problemOf(answer: ApiResult<unknown>): string {
  assert("problem" in answer, JSON.stringify(answer));
  return answer.problem;
}

Deno.test("a call that hangs fails after five seconds, and the next one is answered", async () => {
  await using api = await openApi();
  api.server.objects.put("pods", podObject());
  api.server.fail("get pods", "hang");
  const pending = getPod(api.connection);
  await api.clock.until(() => api.server.count() === 1);
  await api.clock.advance({ seconds: 5 });
  assert.match(problemOf(await pending), /get pods: no answer within 5 s/);
  assert.equal((await getPod(api.connection)).kind, "answer");
});

Deno.test("a call whose signal is aborted rejects at once", async () => {
  await using api = await openApi();
  api.server.fail("get pods", "hang");
  const leaving = new AbortController();
  const pending = getPod(api.connection, leaving.signal);
  await api.clock.until(() => api.server.count() === 1);
  leaving.abort(new Error("left"));
  await assert.rejects(pending, /left/);
});

Deno.test("a call that is aborted on a connection that was used before is not sent again", async () => {
  await using api = await openApi();
  assert.equal((await getPod(api.connection)).kind, "absent");
  api.server.fail("get pods", "hang");
  const leaving = new AbortController();
  const pending = getPod(api.connection, leaving.signal);
  await api.clock.until(() => api.server.count() === 2);
  leaving.abort(new Error("left"));
  await assert.rejects(pending, /left/);
  assert.equal((await getPod(api.connection)).kind, "absent");
  const [used, aborted, next] = api.server.calls.map(({ port }) => port);
  assert.deepEqual([used === aborted, aborted === next], [true, false]);
  assert.equal(api.server.count(), 3);
});

Deno.test("a server of another CA, one in plaintext and one that is down are errors, and receive no token", async () => {
  await using api = await openApi();
  await using plaintext = await openApi({ plaintext: true });
  const otherCa = await TestCa.create("other");
  const access = accessTo(api.server, {
    caPem: () => Promise.resolve(otherCa.certificatePem),
  });
  using distrusting = new ApiClient(access, { clock: api.clock });
  assert.match(problemOf(await getPod(distrusting)), /certificate/);
  assert.equal((await getPod(plaintext.connection)).kind, "unavailable");
  assert.deepEqual([api.server.count(), plaintext.server.count()], [0, 0]);
  await api.server.stop();
  assert.match(problemOf(await getPod(api.connection)), /failed: get pods: .*refused/);
});

Deno.test("an account that the server does not know or does not allow is an error with a suggestion", async () => {
  await using api = await openApi();
  api.server.forbidden.add("get pods");
  assert.equal(
    problemOf(await getPod(api.connection)),
    'the service\'s own account may not get pods: it lacks a ClusterRole with apiGroups [""], ' +
      'resources ["pods"], verbs ["get"]',
  );
  api.server.accounts.clear();
  const unknown = problemOf(await getPod(api.connection));
  assert.match(unknown, /does not know the service's own account/);
  assert(!unknown.includes("service-token"));
});

Deno.test("many calls use one connection", async () => {
  await using api = await openApi();
  api.server.objects.put("pods", podObject());
  for (let at = 0; at < 20; at++) assert.equal((await getPod(api.connection)).kind, "answer");
  const ports = new Set(api.server.calls.map(({ port }) => port));
  assert.equal(ports.size, 1);
});

Deno.test("a redirect is an error and is not followed with the token", async () => {
  await using api = await openApi();
  api.server.objects.put("pods", podObject());
  api.server.fail("get pods", {
    location: `${api.server.url}/api/v1/namespaces/shop/pods/web-0`,
  });
  assert.match(problemOf(await getPod(api.connection)), /failed: get pods: .*redirect/i);
  assert.equal(api.server.count(), 1);
});

Deno.test("in a pod the token and the CA are read from their files again after they have rotated", async () => {
  await using api = await openApi();
  await using folder = await temporaryFolder();
  const write = (name: string, text: string) => Deno.writeTextFile(join(folder.path, name), text);
  await write("token", "service-token\n");
  await write("ca.crt", (await TestCa.create("the former CA")).certificatePem);
  const environment = {
    KUBERNETES_SERVICE_HOST: "127.0.0.1",
    KUBERNETES_SERVICE_PORT: `${api.server.port}`,
  };
  using connection = new ApiClient(readApiCredentials(environment, folder.path), api);
  assert.match(problemOf(await getPod(connection)), /certificate/);
  await write("ca.crt", api.server.authorityPem);
  assert.equal((await getPod(connection)).kind, "absent");

  api.server.accounts.clear();
  api.server.accounts.add("second-token");
  assert.equal((await getPod(connection)).kind, "unavailable");
  await write("token", "second-token");
  assert.equal((await getPod(connection)).kind, "absent");

  await Deno.remove(join(folder.path, "token"));
  assert.match(problemOf(await getPod(connection)), /get pods: .*token/);
});

Deno.test("in a pod of an IPv6 cluster the API server's address has no brackets in the environment", async () => {
  await using api = await openApi({ hostname: "::1" });
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(join(folder.path, "token"), "service-token");
  await Deno.writeTextFile(join(folder.path, "ca.crt"), api.server.authorityPem);
  const environment = {
    KUBERNETES_SERVICE_HOST: "::1",
    KUBERNETES_SERVICE_PORT: `${api.server.port}`,
  };
  using connection = new ApiClient(readApiCredentials(environment, folder.path), api);
  assert.equal((await getPod(connection)).kind, "absent");
});

Deno.test("a call in progress while the CA rotates is answered", async () => {
  await using api = await openApi();
  let authorityPem = api.server.authorityPem;
  const access = accessTo(api.server, { caPem: () => Promise.resolve(authorityPem) });
  using connection = new ApiClient(access, api);
  api.server.fail("get pods", "hang");
  const pending = getPod(connection);
  await api.clock.until(() => api.server.count() === 1);
  authorityPem += (await TestCa.create("another")).certificatePem;
  assert.equal((await getPod(connection)).kind, "absent");
  api.server.release();
  assert.match(problemOf(await pending), /answered 503/);
});

Deno.test("outside a cluster the service reads a kubeconfig", async () => {
  await using api = await openApi();
  api.server.objects.put("pods", podObject());
  await using folder = await temporaryFolder();
  const path = join(folder.path, "config");
  await Deno.writeTextFile(join(folder.path, "my-token"), "service-token\n");
  const data = btoa(api.server.authorityPem);
  const write = (user: string, cluster = `certificate-authority-data: ${data}`) =>
    Deno.writeTextFile(
      path,
      `apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: one, user: me}}]
users:
- name: me
  user: {${user}}
clusters:
- name: one
  cluster:
    server: ${api.server.url}
    ${cluster}
`,
    );
  for (const user of ["token: service-token", "tokenFile: my-token"]) {
    await write(user);
    using connection = new ApiClient(readApiCredentials({ KUBECONFIG: path }), api);
    assert.equal((await getPod(connection)).kind, "answer", user);
  }
  const refused: [user: string, cluster: string, problem: RegExp][] = [
    ["token: t", "insecure-skip-tls-verify: true", /insecure-skip-tls-verify is set/],
    ["token: t", "extensions: []", /has no CA, and public CAs are not trusted/],
    ["token: t", `certificate-authority-data: ${data}\n    proxy-url: http://a:1`, /proxy-url/],
    ["exec: {command: aws}", `certificate-authority-data: ${data}`, /exec/],
    ["username: a, password: very-secret", `certificate-authority-data: ${data}`, /a password/],
  ];
  for (const [user, cluster, problem] of refused) {
    await write(user, cluster);
    assert.throws(() => readApiCredentials({ KUBECONFIG: path }), problem);
  }
  await Deno.writeTextFile(path, "token: very-secret\n  broken: [");
  const broken = () => readApiCredentials({ KUBECONFIG: path });
  assert.throws(broken, (error: Error) => !error.message.includes("very-secret"));
  assert.throws(
    () => readApiCredentials({ KUBECONFIG: join(folder.path, "absent") }),
    /the file does not exist/,
  );
  assert.throws(() => readApiCredentials({}), /KUBERNETES_SERVICE_HOST/);
});

Deno.test("a text that is not an object's name never becomes a part of a path or a selector", async () => {
  await using api = await openApi();
  const directory = apiServerPodDirectory(api.connection);
  const driverPods = apiServerDriverPods(api.connection, driver);
  for (const name of ["..", "", "a/b", "a?b", "a,b", "%2e%2e", "A"]) {
    assert.equal((await driverPods.find(name, never)).kind, "absent");
    const answer = await driverPods.runs({ node: name, uid: "u" }, never);
    assert.deepEqual(answer, { kind: "answer", runs: false });
    const found = await directory.find({ namespace: "shop", name, uid: "u" }, never);
    assert.equal(found.kind, "absent");
  }
  assert.equal(api.server.count(), 0);
  assert.equal(api.clock.timers, 0);
});
