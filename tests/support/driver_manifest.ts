import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import { readDriverConfig } from "../../src/driver/program/config.ts";
import { driverName } from "../../src/shared/text/product_names.ts";

// deno-lint-ignore no-explicit-any
export type Manifest = any;

/** The objects of a text in YAML; throws where the text is not valid YAML. */
export function parseManifests(text: string, name: string): Manifest[] {
  return parseAllDocuments(text, { version: "1.2" }).map((document) => {
    assert.deepEqual("errors" in document ? document.errors : [], [], name);
    return document.toJS();
  });
}

/** The only object of a kind with a name. */
export function oneOf(objects: readonly Manifest[], kind: string, name: string): Manifest {
  const found = objects.filter((each) => each.kind === kind && each.metadata.name === name);
  assert.equal(found.length, 1, `${kind} ${name}`);
  return found[0];
}

/** A container's environment, with a node's name where the manifest takes it from the pod. */
export function environment(container: Manifest): Record<string, string> {
  return Object.fromEntries(
    container.env.map(({ name, value }: Manifest) => [name, value ?? "node-1"]),
  );
}

/** Fails unless the driver's host paths, mounts and variables agree with each other and with the kubelet's directory. */
export function assertDriverPaths(objects: readonly Manifest[], kubeletDirectory: string): void {
  const { spec } = oneOf(objects, "DaemonSet", "csi-cert-driver").spec.template;
  const [driver] = spec.containers;
  const mounts = new Map<string, Manifest>();
  for (const mount of driver.volumeMounts) {
    assert.ok(!mounts.has(mount.name), `the volume ${mount.name} is mounted twice`);
    mounts.set(mount.name, mount);
  }
  const hostPaths = new Map<string, string>(
    spec.volumes.filter(({ hostPath }: Manifest) => hostPath !== undefined)
      .map(({ name, hostPath }: Manifest) => [name, hostPath.path]),
  );
  const { records, ...ofKubelet } = Object.fromEntries(hostPaths);
  assert.equal(records, "/var/lib/csi-certs");
  assert.deepEqual(ofKubelet, {
    socket: `${kubeletDirectory}/plugins/${driverName}`,
    registration: `${kubeletDirectory}/plugins_registry`,
    pods: `${kubeletDirectory}/pods`,
  });

  const outcome = readDriverConfig(environment(driver), "host");
  assert.deepEqual(outcome.kind === "refused" ? outcome.problems : outcome.warnings, []);
  assert.ok(outcome.kind === "config");
  const { socketPath, registration, certBasePath } = outcome.config;
  assert.equal(socketPath, `${mounts.get("socket").mountPath}/csi.sock`);
  assert.deepEqual(registration, {
    directory: mounts.get("registration").mountPath,
    kubeletSocketPath: `${hostPaths.get("socket")}/csi.sock`,
  });
  assert.equal(certBasePath, mounts.get("records").mountPath);
  // The kubelet names targets as the host does.
  assert.equal(mounts.get("pods").mountPath, hostPaths.get("pods"));
  assert.equal(mounts.get("pods").mountPropagation, "Bidirectional");
}
