import assert from "node:assert/strict";
import { join } from "node:path";
import { openCluster } from "../../../src/service/kubernetes/cluster.ts";
import { describeCall, shippedPermissions } from "../../../src/service/kubernetes/permissions.ts";
import { podObject } from "../../../scripts/support/api_pod.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";
import { driver, Listening, never, openApi, pass, secret } from "./kubernetes_fixture.ts";

const denials = { namespace: "csi-cert-system", name: "csi-cert-denials" };
const bundle = { namespace: "csi-cert-system", name: "csi-cert-trust-bundle" };

/** All that the service has of a cluster, by a kubeconfig. */
async function open() {
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await openApi());
  const folder = stack.use(await temporaryFolder());
  const KUBECONFIG = join(folder.path, "config");
  const config = {
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    users: [{ name: "u", user: { token: "service-token" } }],
    clusters: [{
      name: "c",
      cluster: {
        server: api.server.url,
        "certificate-authority-data": btoa(api.server.authorityPem),
      },
    }],
  };
  await Deno.writeTextFile(KUBECONFIG, JSON.stringify(config));
  const cluster = stack.use(openCluster({ KUBECONFIG }, api));
  const kept = stack.move();
  return { ...api, cluster, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

type Opened = Awaited<ReturnType<typeof open>>;

/** Makes every call that there is, once or more; what went wrong is returned in words. */
async function exercise({ cluster, clock, server }: Opened, token: string): Promise<string[]> {
  const outcomes: string[] = [];
  const add = (answer: unknown) => void outcomes.push(JSON.stringify(answer) ?? "");
  const pods = cluster.driverPods(driver);
  const keySet = await cluster.tokenKeys.read(never);
  // The keys themselves are public.
  add(keySet.kind === "answer" ? keySet.kind : keySet);
  add(await cluster.tokenReviewer.review(token, never));
  add(await pods.find("csi-cert-driver-x7k2p", never));
  add(await pods.runs({ node: "node-1", uid: "u" }, never));
  const pod = { namespace: "shop", name: "web-0", uid: "u" };
  add(await cluster.pods.find(pod, never));
  for (const name of [denials, bundle]) {
    const document = cluster.document(name);
    await using listening = new Listening((signal) => document.watch(signal));
    const made = await document.write({ a: "1" }, undefined, never).catch((error) => `${error}`);
    add(made);
    const read = await document.read(never).catch((error) => `${error}`);
    const version = typeof read === "object" ? read.version : "1";
    add(await document.write({ a: "2" }, version, never).catch((error) => `${error}`));
    if (made === true) await pass(clock, () => listening.seen.length > 0);
  }
  const before = server.count("get secrets");
  await using listening = new Listening((signal) => cluster.caSecret(secret).watch(signal));
  await pass(clock, () => server.count("get secrets") > before && listening.seen.length > 0);
  for (const state of listening.seen) if (state.kind !== "present") add(state);
  return outcomes;
}

Deno.test("the shipped RBAC rules are exactly those that the service uses", async () => {
  await using api = await open();
  api.server.objects.put("secrets", { metadata: secret, data: { "tls.crt": btoa("certificate") } });
  api.server.objects.put("pods", podObject());
  const outcomes = await exercise(api, api.server.tokens.make());
  assert(!outcomes.join().includes("the service's own account may not"), `${outcomes}`);
  const made = new Set(
    api.server.calls.map(({ text }) => text.replace(/^get pods .*/, "get pods")),
  );
  // Making a document is asked for as a patch of what is not there.
  const expected = shippedPermissions.filter(({ verb, name }) => verb !== "create" || !name);
  assert.deepEqual([...made].toSorted(), expected.map(describeCall).toSorted());
});

Deno.test("a call that RBAC forbids names the missing rule", async () => {
  await using api = await open();
  api.server.rules = [];
  const outcomes = (await exercise(api, api.server.tokens.make())).join("\n");
  assert.match(
    outcomes,
    /may not list pods csi-cert-system: it lacks a Role in namespace csi-cert-sy/,
  );
  for (const resource of ["tokenreviews", "pods", "configmaps", "secrets"]) {
    assert.match(
      outcomes.replaceAll("\\", ""),
      new RegExp(`it lacks a .*resources \\["${resource}"\\]`),
    );
  }
});

Deno.test("no problem and no log line contains a token or a part of the Secret", async () => {
  await using logs = await captureLogs([]);
  await using api = await open();
  const key = "very secret private key";
  const data = { "tls.crt": btoa("certificate"), "tls.key": btoa(key) };
  const outcomes: string[] = [];
  const tokens: string[] = [];
  for (const fault of [undefined, 500, 401, 403, 409, 429, "nonsense", "cut"] as const) {
    api.server.objects.put("secrets", { metadata: secret, data });
    if (fault !== undefined) api.server.fail("", fault, 12);
    for (const revoked of [false, true]) {
      const token = api.server.tokens.make({ revoked });
      tokens.push(token);
      outcomes.push(...await exercise(api, token));
    }
  }
  const written = outcomes.join("\n") +
    logs.records.map((record) => Deno.inspect(record, { depth: 20, strAbbreviateSize: 1e6 }))
      .join();
  assert(written.length > 5_000);
  const secrets = [key, btoa(key), "service-token", "c2VjcmV0LWtleQ", ...tokens];
  for (const text of secrets) assert(!written.includes(text), `${text} is written`);
  for (const token of tokens) assert(!written.includes(token.split(".")[1] ?? token));
});
