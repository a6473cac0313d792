/** One node's requests and reports do not keep the other nodes waiting. */
import assert from "node:assert/strict";
import type { DriverCaller } from "../../../src/service/access/authenticator.ts";
import { apiServerPodDirectory } from "../../../src/service/kubernetes/pod_directory.ts";
import { podObject } from "../../../scripts/support/api_pod.ts";
import {
  issued,
  issueRequest,
  makeCa,
  never,
  openTestService,
  pod,
} from "../../support/service_fixture.ts";
import { openApi } from "../kubernetes/kubernetes_fixture.ts";

const greedy: DriverCaller = { kind: "node", node: "greedy" };
const modest: DriverCaller = { kind: "node", node: "node-1" };

Deno.test("1,040 requests of a node for pods that do not exist do not delay another node's one", async () => {
  await using api = await openApi();
  api.server.objects.put("pods", podObject());
  // The API is slow: it answers the first look-ups only when the test releases them.
  api.server.fail("get pods", "hang", 16);
  const pods = apiServerPodDirectory(api.connection);
  await using service = await openTestService({ pods });
  const absent = { ...await issueRequest(), pod: { ...pod, name: "absent" } };
  const flood = Array.from({ length: 1_040 }, () => service.issuing.issue(greedy, absent, never));
  await api.clock.until(() => api.server.answering === 16);
  const one = service.issuing.issue(modest, await issueRequest(), never);
  api.server.release();
  issued(await one);
  const place = api.server.calls.findIndex(({ text }) => text === "get pods shop/web-0");
  // Sixteen were under way and sixteen start next, which reach the server in any order.
  assert(place >= 0 && place < 32, `it was look-up ${place}`);
  const kinds = new Map<string, number>();
  for (const { kind } of await Promise.all(flood)) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  // A look-up that was interrupted states nothing about the pod; 256 wait, and the rest is overloaded.
  assert.deepEqual(Object.fromEntries(kinds), { unavailable: 16, denied: 256, overloaded: 768 });
  assert(api.server.mostAnswering <= 16, `${api.server.mostAnswering} look-ups at once`);
});

Deno.test("a node's reports do not delay another node's report, nor any request", async () => {
  await using service = await openTestService({ material: await makeCa() });
  const { leaf } = issued(await service.ask());
  const held = { certificate: leaf.der, pod, volumeId: "csi-1" };
  const ended: string[] = [];
  const report = async (caller: DriverCaller, name: string, count: number) => {
    await service.reporting.report(caller, Array.from({ length: count }, () => held), never);
    ended.push(name);
  };
  const reports = Array.from({ length: 20 }, () => report(greedy, "greedy", 25));
  const other = report(modest, "modest", 10);
  const request = service.issuing.issue(modest, await issueRequest(), never)
    .then((outcome) => ended.push(outcome.kind));
  await Promise.all([other, request]);
  assert.deepEqual(ended.toSorted(), ["issued", "modest"]);
  await Promise.all(reports);
});
