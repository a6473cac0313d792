import assert from "node:assert/strict";
import { type Permission, shippedPermissions } from "../../src/service/kubernetes/permissions.ts";
import { system } from "../../scripts/support/install.ts";
import { getJson, kubectl, tryKubectl, until } from "../../scripts/support/kubectl.ts";
import { scale } from "./support/operators.ts";
import { processes } from "./support/node.ts";

const account = (name: string) => `--as=system:serviceaccount:${system}:${name}`;

/** What RBAC grants an account in the system's namespace, a line for each rule. */
async function granted(as: string): Promise<string[]> {
  const listing = await kubectl(["auth", "can-i", "--list", "-n", system, as, "--no-headers"]);
  return listing.trim().split("\n").map((line) => line.replace(/\s+/g, " ")).sort();
}

/** Whether the account may do it. */
async function may(as: string, verb: string, what: string, ...flags: string[]): Promise<boolean> {
  const { stdout } = await tryKubectl(["auth", "can-i", verb, what, as, ...flags]);
  return stdout.trim() === "yes";
}

function question(permission: Permission): [verb: string, what: string, ...flags: string[]] {
  const { apiGroup, resource, verb, namespace, name, nonResourcePath } = permission;
  if (nonResourcePath !== undefined) return [verb, nonResourcePath];
  const type = apiGroup === "" ? resource : `${resource}.${apiGroup}`;
  const where = namespace === undefined ? "--all-namespaces" : `--namespace=${namespace}`;
  return [verb, name === undefined ? type : `${type}/${name}`, where];
}

Deno.test("the driver's account may do what an account without any role may, and no more", async () => {
  await kubectl(["-n", system, "create", "serviceaccount", "without-role"]);
  assert.deepEqual(
    await granted(account("csi-cert-driver")),
    await granted(account("without-role")),
  );
  await kubectl(["-n", system, "delete", "serviceaccount", "without-role"]);
});

Deno.test("the service's account may do each call that the service makes", async () => {
  for (const permission of shippedPermissions) {
    const asked = question(permission);
    assert.ok(await may(account("cert-service"), ...asked), asked.join(" "));
  }
});

Deno.test("the service's account may do nothing else", async () => {
  const here = `--namespace=${system}`;
  const refused: [string, string, ...string[]][] = [
    ["list", "secrets", here],
    ["watch", "secrets", here],
    ["get", "secrets/another", here],
    ["get", "secrets/csi-ca-secret", "--namespace=kube-system"],
    ...["update", "patch", "delete", "create"].map((verb): [string, string, string] => [
      verb,
      "secrets/csi-ca-secret",
      here,
    ]),
    ["list", "configmaps", here],
    ["create", "configmaps", here],
    ["patch", "configmaps/cert-service-policy", here],
    ["delete", "configmaps/csi-cert-trust-bundle", here],
    ["patch", "configmaps/csi-cert-trust-bundle", "--namespace=default"],
    ["list", "pods", "--all-namespaces"],
    ["watch", "pods", "--all-namespaces"],
    ["create", "pods", here],
    ["create", "pods/exec", here],
    ["get", "nodes"],
    ["create", "serviceaccounts/token", here],
    ["impersonate", "users"],
    ["get", "tokenreviews.authentication.k8s.io"],
  ];
  for (const asked of refused) {
    assert.equal(await may(account("cert-service"), ...asked), false, asked.join(" "));
  }
});

const configMap = (name: string) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: system },
    data: { "denials.json": "[]" },
  });

/** A server-side apply of a ConfigMap by an account. */
const write = (name: string, as: string) =>
  tryKubectl(
    ["apply", "--server-side", "--field-manager=e2e", account(as), "-f", "-"],
    configMap(name),
  );

Deno.test("a ConfigMap is made by server-side apply under rights that name it, and no other", async () => {
  // A replica that runs could write a deleted ConfigMap again.
  await using undo = new AsyncDisposableStack();
  undo.defer(() => scale(2));
  await scale(0);
  await kubectl(["-n", system, "delete", "configmap", "csi-cert-denials", "--ignore-not-found"]);
  const made = await write("csi-cert-denials", "cert-service");
  assert.ok(made.success, made.stderr);
  const refused = await write("another", "cert-service");
  assert.match(refused.stderr, /forbidden/);
  await kubectl(["-n", system, "delete", "configmap", "csi-cert-denials"]);
});

Deno.test("the apply that makes a ConfigMap needs the right to create in addition to the one to patch", async () => {
  const name = "patcher";
  const named = (verbs: string) => ["create", "role", name, "--resource=configmaps", verbs];
  const role = async (verbs: string) => {
    await kubectl(["-n", system, "delete", "role", name, "--ignore-not-found"]);
    await kubectl(["-n", system, ...named(verbs), "--resource-name=patched"]);
  };
  await using undo = new AsyncDisposableStack();
  undo.defer(async () => {
    const remove = ["-n", system, "delete", "--ignore-not-found"];
    await kubectl([...remove, "serviceaccount,role,rolebinding", name]);
    await kubectl([...remove, "configmap", "patched"]);
  });
  await kubectl(["-n", system, "create", "serviceaccount", name]);
  await role("--verb=patch,get");
  const binding = ["create", "rolebinding", name, `--role=${name}`];
  await kubectl(["-n", system, ...binding, `--serviceaccount=${system}:${name}`]);
  assert.match((await write("patched", name)).stderr, /cannot create resource "configmaps"/);
  await role("--verb=patch,get,create");
  // The API server's authoriser applies a changed role a moment later.
  await until("the role holds", async () => (await write("patched", name)).success);
});

Deno.test("the driver's own token gives no access to the API server", async () => {
  const { items } = await getJson("pods", "-n", system, "-l", "app=csi-cert-driver");
  const token = await kubectl([
    ...["-n", system, "create", "token", "csi-cert-driver", "--audience=csi-cert-service"],
    ...["--bound-object-kind=Pod", `--bound-object-name=${items[0].metadata.name}`],
  ]);
  // The administrator's certificate is in the kubeconfig: this request has none.
  const caCerts = [await Deno.readTextFile(`${Deno.env.get("E2E_FOLDER")}/pki/ca.crt`)];
  using client = Deno.createHttpClient({ caCerts });
  const response = await fetch("https://127.0.0.1/api/v1/namespaces/default/pods", {
    client,
    headers: { authorization: `Bearer ${token.trim()}` },
  });
  await response.body?.cancel();
  assert.equal(response.status, 401);
});

Deno.test("the pods run as the manifest states: read-only roots, no API token in the driver", async () => {
  const { items } = await getJson("pods", "-n", system);
  for (const { metadata, spec } of items) {
    assert.equal(spec.hostNetwork ?? false, false);
    for (const { name, volumeMounts, securityContext } of spec.containers) {
      assert.equal(securityContext.readOnlyRootFilesystem, true, metadata.name);
      const paths = volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath);
      const hasApiToken = paths.includes("/var/run/secrets/kubernetes.io/serviceaccount");
      assert.equal(hasApiToken, name === "cert-service");
    }
  }
});

Deno.test("on the node each program runs as its container's user, without capabilities in the service", async () => {
  for (const [name, uid] of [["csi-driver", "0"], ["cert-service", "65532"]] as const) {
    const ids = await processes(`/csi-cert-driver/${name}.js`);
    assert.ok(ids.length > 0, name);
    for (const id of ids) {
      const status = await Deno.readTextFile(`/proc/${id}/status`);
      const field = (key: string) => new RegExp(`^${key}:\\s+(.*)$`, "m").exec(status)?.[1];
      assert.deepEqual(field("Uid")?.split("\t"), [uid, uid, uid, uid], name);
      assert.equal(/^0+$/.test(field("CapEff") ?? ""), name === "cert-service");
      assert.equal(field("NoNewPrivs"), name === "cert-service" ? "1" : "0");
    }
  }
});
