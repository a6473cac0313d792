// Calls an API server whose CA the runtime trusts, and the client was not given; prints what came of each call.
// Arguments: the server's URL, and the path of the PEM of the CA that the client is given.
import { ApiClient } from "../../../src/service/kubernetes/api_client.ts";
import {
  getPods,
  readTokenKeys,
  secretPermission,
} from "../../../src/service/kubernetes/permissions.ts";
import { systemClock } from "../../../src/shared/scheduler/system_clock.ts";

const [server = "", caFile = ""] = Deno.args;
const connection = new ApiClient({
  server,
  caPem: (): Promise<string> => Deno.readTextFile(caFile),
  token: () => Promise.resolve("service-token"),
  identity: () => Promise.resolve(undefined),
}, { clock: systemClock });
const { signal } = new AbortController();
const secret = { namespace: "csi-cert-system", name: "csi-ca-secret" };
const path = "/api/v1/namespaces/csi-cert-system/secrets";
const answers = await Promise.all([
  connection.call(
    getPods,
    signal,
    ({ core }) => core.readNamespacedPod({ namespace: "shop", name: "web-0" }),
  ),
  connection.watch(secretPermission("watch", secret), path, {}, signal),
  connection.readText(readTokenKeys, 1024, signal),
]);
const runtime = await fetch(`${server}/version`).then(({ status }) => status, String);
console.log(JSON.stringify({
  runtime,
  answers: answers.map((answer) => "problem" in answer ? answer.problem : answer.kind),
}));
Deno.exit();
