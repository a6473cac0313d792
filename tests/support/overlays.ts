import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { driverName } from "../../src/shared/text/product_names.ts";
import { assertDriverPaths, type Manifest, oneOf, parseManifests } from "./driver_manifest.ts";
import { root } from "./documentation.ts";

interface Overlay {
  readonly kubeletDirectory: string;
  /** What the overlay adds to the base, as KIND/NAME. */
  readonly added: readonly string[];
  readonly assertAdded: (objects: readonly Manifest[]) => void;
}

const nothingAdded = { added: [], assertAdded: () => {} };

/** Every folder below deploy/overlays. */
export const overlays: Readonly<Record<string, Overlay>> = {
  gke: {
    kubeletDirectory: "/var/lib/kubelet",
    added: ["ResourceQuota/csi-cert-critical-pods"],
    assertAdded: assertQuota,
  },
  k0s: { kubeletDirectory: "/var/lib/k0s/kubelet", ...nothingAdded },
  microk8s: { kubeletDirectory: "/var/snap/microk8s/common/var/lib/kubelet", ...nothingAdded },
  openshift: {
    kubeletDirectory: "/var/lib/kubelet",
    added: [
      "RoleBinding/cert-service:scc-nonroot-v2",
      "RoleBinding/csi-cert-driver:scc-privileged",
    ],
    assertAdded: assertOpenShift,
  },
};

/** Builds a kustomization, a folder of the repository. */
export async function buildKustomization(folder: string): Promise<Manifest[]> {
  const { success, stdout, stderr } = await new Deno.Command("kubectl", {
    args: ["kustomize", fileURLToPath(new URL(folder, root))],
    stdin: "null",
  }).output();
  const [text = "", words] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.ok(success, `${folder}: ${words}`);
  return parseManifests(text, folder);
}

/** Fails unless an overlay has all of the base, what the platform needs, and nothing else. */
export function assertOverlay(
  name: string,
  base: readonly Manifest[],
  objects: readonly Manifest[],
): void {
  const overlay = overlays[name];
  assert.ok(overlay, `deploy/overlays/${name} is not in the table of overlays`);
  const { kubeletDirectory, added, assertAdded } = overlay;
  const titles = (list: readonly Manifest[]) =>
    list.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  assert.deepEqual(titles(objects).sort(), [...titles(base), ...added].sort());
  for (const { kind, metadata } of objects) {
    const isNamespaced = !/^(Namespace|CSIDriver|Cluster.*)$/.test(kind);
    assert.equal(metadata.namespace, isNamespaced ? "csi-cert-system" : undefined, kind);
  }
  assertDriverPaths(objects, kubeletDirectory);
  assertAdded(objects);
}

const workloads = [["DaemonSet", "csi-cert-driver"], ["Deployment", "cert-service"]] as const;

function podsOf(objects: readonly Manifest[]): Manifest[] {
  return workloads.map(([kind, name]) => oneOf(objects, kind, name).spec.template.spec);
}

/** The quota is for the priority classes that the pods have, and its number cannot be reached. */
function assertQuota(objects: readonly Manifest[]): void {
  const { spec } = oneOf(objects, "ResourceQuota", "csi-cert-critical-pods");
  assert.deepEqual(spec.hard, { pods: "1G" });
  const [{ values, ...expression }, ...others] = spec.scopeSelector.matchExpressions;
  assert.deepEqual(others, []);
  assert.deepEqual(expression, { scopeName: "PriorityClass", operator: "In" });
  const classes = podsOf(objects).map(({ priorityClassName }) => priorityClassName);
  assert.deepEqual(values.toSorted(), classes.toSorted());
}

/** Each account may use one security context constraint, which accepts the account's pods. */
function assertOpenShift(objects: readonly Manifest[]): void {
  const { labels } = oneOf(objects, "CSIDriver", driverName).metadata;
  const profile = "csi-ephemeral-volume-profile";
  assert.equal(labels[`security.openshift.io/${profile}`], "restricted");
  assert.equal(labels[`security.kubernetes.io/${profile}`], "restricted");
  const { annotations } = oneOf(objects, "Namespace", "csi-cert-system").metadata;
  assert.equal(annotations["openshift.io/node-selector"], "");

  const [driver, service] = podsOf(objects);
  assertBound(objects, driver, "privileged");
  assert.equal(driver.containers[0].securityContext.privileged, true);

  assertBound(objects, service, "nonroot-v2");
  // What that constraint requires beside the restricted profile of pod security.
  const kinds = service.volumes.flatMap((volume: Manifest) => Object.keys(volume));
  assert.deepEqual([...new Set(kinds)].sort(), ["configMap", "emptyDir", "name"]);
  assert.equal(service.securityContext.seccompProfile.type, "RuntimeDefault");
  assert.ok(service.securityContext.runAsUser > 0);
  const [{ securityContext }] = service.containers;
  assert.equal(securityContext.allowPrivilegeEscalation, false);
  assert.deepEqual(securityContext.capabilities, { drop: ["ALL"] });
}

function assertBound(objects: readonly Manifest[], pod: Manifest, constraint: string): void {
  const name = pod.serviceAccountName;
  const { roleRef, subjects } = oneOf(objects, "RoleBinding", `${name}:scc-${constraint}`);
  assert.deepEqual(roleRef, {
    apiGroup: "rbac.authorization.k8s.io",
    kind: "ClusterRole",
    name: `system:openshift:scc:${constraint}`,
  });
  assert.deepEqual(subjects, [{ kind: "ServiceAccount", name, namespace: "csi-cert-system" }]);
}
