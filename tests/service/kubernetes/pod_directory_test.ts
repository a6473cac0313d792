import assert from "node:assert/strict";
import { apiServerPodDirectory } from "../../../src/service/kubernetes/pod_directory.ts";
import { podObject } from "../../../scripts/support/api_pod.ts";
import { never, openApi } from "./kubernetes_fixture.ts";

const uid = "0f8fad5b-d9cb-469f-a165-70867728950e";
const asked = { namespace: "shop", name: "web-0", uid };

async function open() {
  const api = await openApi();
  const directory = apiServerPodDirectory(api.connection);
  const found = async () => {
    const answer = await directory.find(asked, never);
    assert(answer.kind === "found", JSON.stringify(answer));
    return answer.pod;
  };
  const put = (given: Parameters<typeof podObject>[0] = {}) =>
    api.server.objects.put("pods", podObject(given));
  return { ...api, directory, found, put };
}

Deno.test("a pod is returned with the fields of the API server and the attributes of this driver's volumes", async () => {
  await using api = await open();
  api.put({
    metadata: { annotations: { team: "a" } },
    spec: {
      hostname: "web-0",
      subdomain: "web",
      volumes: [
        { name: "certs", csi: { driver: "csi.k8s.cert-driver", volumeAttributes: { a: "b" } } },
        { name: "plain", csi: { driver: "csi.k8s.cert-driver" } },
        { name: "other", csi: { driver: "secrets-store.csi.k8s.io", volumeAttributes: {} } },
        { name: "tmp", emptyDir: {} },
      ],
    },
  });
  assert.deepEqual(await api.found(), {
    ...asked,
    serviceAccountName: "web",
    nodeName: "node-1",
    hostname: "web-0",
    subdomain: "web",
    labels: { app: "web" },
    annotations: { team: "a" },
    finished: false,
    deletionTimestamp: undefined,
    isMirrorPod: false,
    volumes: new Map([["certs", { a: "b" }], ["plain", {}]]),
  });
});

Deno.test("finished, deleted, not yet scheduled and node-made pods are returned as such", async () => {
  await using api = await open();
  for (const phase of ["Succeeded", "Failed"]) {
    api.put({ status: { phase } });
    assert.equal((await api.found()).finished, true);
  }
  api.put({
    metadata: { deletionTimestamp: "2026-03-01T12:00:00Z" },
    status: { phase: "Pending" },
  });
  const deleting = await api.found();
  assert.equal(String(deleting.deletionTimestamp), "2026-03-01T12:00:00Z");
  assert.equal(deleting.finished, false);
  api.put({ metadata: { annotations: { "kubernetes.io/config.mirror": "hash" } } });
  assert.equal((await api.found()).isMirrorPod, true);
  const ownerReferences = [{ apiVersion: "v1", kind: "Node", name: "node-1", uid: "u" }];
  api.put({ metadata: { ownerReferences } });
  assert.equal((await api.found()).isMirrorPod, true);
  api.put({ metadata: { ownerReferences: [{ kind: "ReplicaSet", name: "web", uid: "u" }] } });
  assert.equal((await api.found()).isMirrorPod, false);
  api.put({ spec: { nodeName: undefined, volumes: undefined } });
  const waiting = await api.found();
  assert.deepEqual([waiting.nodeName, waiting.volumes.size], [undefined, 0]);
});

Deno.test("each look-up is an API call, so that a replaced or deleted pod is absent at once", async () => {
  await using api = await open();
  assert.deepEqual(await api.directory.find(asked, never), { kind: "absent" });
  api.put();
  await api.found();
  api.put({ metadata: { uid: "another" } });
  assert.deepEqual(await api.directory.find(asked, never), { kind: "absent" });
  api.put();
  await api.found();
  api.server.objects.delete("pods", "shop", "web-0");
  assert.deepEqual(await api.directory.find(asked, never), { kind: "absent" });
  assert.equal(api.server.count("get pods shop/web-0"), 5);
});

Deno.test("a pod is unavailable, not absent, while the API server does not answer", async () => {
  await using api = await open();
  api.put();
  for (const fault of [500, 429, 401, "nonsense", "cut"] as const) {
    api.server.fail("get pods", fault);
    assert.equal((await api.directory.find(asked, never)).kind, "unavailable", `${fault}`);
  }
  api.server.forbidden.add("get pods");
  const forbidden = await api.directory.find(asked, never);
  assert.match("problem" in forbidden ? forbidden.problem : "", /may not get pods/);
});
