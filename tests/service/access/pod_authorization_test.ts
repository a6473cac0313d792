import assert from "node:assert/strict";
import type { DriverCaller } from "../../../src/service/access/authenticator.ts";
import type { ClusterPod, PodDirectory } from "../../../src/service/access/pod_authorization.ts";
import { issued, openTestService, pod, reasonOf, start } from "../../support/service_fixture.ts";

const node: DriverCaller = { kind: "node", node: "node-1" };

const observed: ClusterPod = {
  namespace: pod.namespace,
  name: pod.name,
  uid: pod.uid,
  serviceAccountName: pod.serviceAccount,
  nodeName: "node-1",
  labels: { app: "front" },
  annotations: {},
  finished: false,
  deletionTimestamp: undefined,
  isMirrorPod: false,
  volumes: new Map([["certs", { "dns-names": "{metadata.labels.app}.shop.svc", duration: "1h" }]]),
};

function directory(change: Partial<ClusterPod> = {}): PodDirectory {
  return {
    find: ({ uid }) =>
      Promise.resolve(
        uid === observed.uid
          ? { kind: "found", pod: { ...observed, ...change } }
          : { kind: "absent" },
      ),
  };
}

Deno.test("names and attributes are those of the pod in the cluster, not those that the caller states", async () => {
  await using service = await openTestService({ pods: directory() });
  const attributes = { "dns-names": "other.shop.svc", duration: "10h" };
  const { leaf } = issued(await service.ask({ attributes }, node));
  assert(leaf.dnsNames.includes("front.shop.svc"));
  assert(!leaf.dnsNames.includes("other.shop.svc"));
  assert.equal(String(leaf.notAfter), "2026-03-01T13:00:00Z");
});

Deno.test("a request is denied by each check, with its reason", async () => {
  const cases: [RegExp, Partial<ClusterPod>][] = [
    [/pod shop\/web-0 does not run on node node-1/, { nodeName: "node-2" }],
    [/does not run as service account web/, { serviceAccountName: "other" }],
    [/is a mirror pod/, { isMirrorPod: true }],
    [/is finished/, { finished: true }],
    [/is being deleted/, { deletionTimestamp: start.add({ hours: 1 }) }],
    [/has no volume certs of this driver/, { volumes: new Map([["other", {}]]) }],
    [/there is no pod shop\/web-0 with uid/, { uid: "re-created" }],
  ];
  for (const [expected, change] of cases) {
    await using service = await openTestService({ pods: directory(change) });
    assert.match(reasonOf("denied", await service.ask({}, node)), expected);
    assert.equal(service.inventory.size, 0);
  }
});

Deno.test("a pod that is being deleted renews until 5 minutes after its deletionTimestamp, and no longer", async () => {
  // A grace period of an hour.
  const pods = directory({ deletionTimestamp: start.add({ hours: 1 }) });
  await using service = await openTestService({ pods });
  const first = await service.ask({}, node);
  assert.match(reasonOf("denied", first), /pod shop\/web-0 is being deleted/);
  issued(await service.ask({ predecessor: "a1" }, node));
  await service.clock.advance({ hours: 1, minutes: 5 });
  issued(await service.ask({ predecessor: "a1" }, node));
  await service.clock.advance({ milliseconds: 1 });
  assert.match(
    reasonOf("denied", await service.ask({ predecessor: "a1" }, node)),
    /pod shop\/web-0 was to end at 2026-03-01T13:00:00\.75Z, and could renew .* until 2026-03-01T13:05:00\.75Z/,
  );
});

Deno.test("a pod that is gone does not renew", async () => {
  await using service = await openTestService({ pods: directory() });
  const gone = { pod: { ...pod, uid: "gone" }, predecessor: "a1" };
  assert.match(
    reasonOf("denied", await service.ask(gone, node)),
    /no pod shop\/web-0 with uid gone/,
  );
});

Deno.test("a directory that does not answer makes a request unavailable, not denied", async () => {
  const pods: PodDirectory = {
    find: () => Promise.resolve({ kind: "unavailable", problem: "the API server does not answer" }),
  };
  await using service = await openTestService({ pods });
  assert.equal(
    reasonOf("unavailable", await service.ask({}, node)),
    "the API server does not answer",
  );
});

Deno.test("a request is authorized before it is parsed", async () => {
  await using service = await openTestService({ pods: directory({ nodeName: "node-2" }) });
  const nonsense = { certificateRequest: new Uint8Array([1]), attributes: { colour: "blue" } };
  reasonOf("denied", await service.ask(nonsense, node));
});
