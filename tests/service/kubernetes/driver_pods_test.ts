import assert from "node:assert/strict";
import { podObject } from "../../../scripts/support/api_pod.ts";
import { apiServerDriverPods } from "../../../src/service/kubernetes/driver_pods.ts";
import { listDriverPods, shippedPermissions } from "../../../src/service/kubernetes/permissions.ts";
import { apiServerKeySet } from "../../../src/service/kubernetes/token_keys.ts";
import { driver, never, openApi } from "./kubernetes_fixture.ts";

async function open() {
  const api = await openApi();
  api.server.rules = [...shippedPermissions, listDriverPods(driver.namespace)];
  const put = (name: string, node: string, given: { account?: string; phase?: string } = {}) =>
    api.server.objects.put(
      "pods",
      podObject({
        metadata: { namespace: driver.namespace, name, uid: `uid-${name}` },
        spec: { nodeName: node, serviceAccountName: given.account ?? driver.name },
        status: { phase: given.phase ?? "Running" },
      }),
    );
  const pods = apiServerDriverPods(api.connection, driver);
  return {
    server: api.server,
    put,
    pods,
    keys: apiServerKeySet(api.connection),
    runs: (node: string, uid: string) => pods.runs({ node, uid }, never),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

Deno.test("a driver's pod is confirmed by its uid among the pods of its node", async () => {
  await using api = await open();
  api.put("a", "node-1");
  api.put("b", "node-2");
  api.put("other", "node-1", { account: "other" });
  api.put("done", "node-1", { phase: "Failed" });
  assert.deepEqual(await api.runs("node-1", "uid-a"), { kind: "answer", runs: true });
  for (
    const [node, uid] of [
      ["node-1", "uid-b"],
      ["node-2", "uid-a"],
      ["node-1", "uid-other"],
      ["node-1", "uid-done"],
      ["node-3", "uid-a"],
      ["node-1,metadata.name=b", "uid-b"],
    ] as const
  ) {
    assert.deepEqual(await api.runs(node, uid), { kind: "answer", runs: false }, `${node} ${uid}`);
  }
  assert.deepEqual(api.server.calls[0]?.text, "list pods csi-cert-system");
  assert.equal(api.server.calls[0]?.query.get("fieldSelector"), "spec.nodeName=node-1");
});

Deno.test("a role without a rule for the attestation is reported with that rule", async () => {
  await using api = await open();
  api.server.forbidden.add("list pods");
  const pods = await api.runs("node-1", "uid-a");
  assert.ok(pods.kind === "unavailable");
  assert.match(
    pods.problem,
    /a Role in namespace csi-cert-system with apiGroups \[""\], resources \["pods"\], verbs \["list"\]/,
  );
  api.server.forbidden.add("get /openid");
  const keys = await api.keys.read(never);
  assert.ok(keys.kind === "unavailable");
  assert.match(keys.problem, /nonResourceURLs \["\/openid\/v1\/jwks"\], verbs \["get"\]/);
});

Deno.test("a key set of more than 64 KiB is rejected and not read to its end", async () => {
  await using api = await open();
  api.server.tokens.keySet = () => ({ keys: [{ padding: "x".repeat(70_000) }] });
  const keys = await api.keys.read(never);
  assert.ok(keys.kind === "unavailable");
  assert.match(keys.problem, /more than 65536 bytes/);
});
