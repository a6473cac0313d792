import assert from "node:assert/strict";
import { imageName } from "../../scripts/image.ts";
import { driverVariables, readDriverConfig } from "../../src/driver/program/config.ts";
import { driverName, tokenAudience } from "../../src/shared/text/product_names.ts";
import { readAdminSocket } from "../../src/service/program/admin_socket.ts";
import { readServiceConfig } from "../../src/service/program/config.ts";
import { serviceVariables } from "../../src/service/program/variables.ts";
import {
  assertDriverPaths,
  environment,
  type Manifest,
  oneOf,
  parseManifests,
} from "../support/driver_manifest.ts";
import { type Permission, shippedPermissions } from "../../src/service/kubernetes/permissions.ts";

async function manifests(name: string): Promise<Manifest[]> {
  const text = await Deno.readTextFile(new URL(`../../deploy/${name}`, import.meta.url));
  return parseManifests(text, name);
}

const all = await manifests("base/csi-driver.yaml");

const one = (kind: string, name: string): Manifest => oneOf(all, kind, name);

const namespace = "csi-cert-system";
const daemonSet = one("DaemonSet", "csi-cert-driver").spec.template;
const deployment = one("Deployment", "cert-service").spec.template;
const driver = daemonSet.spec.containers[0];
const service = deployment.spec.containers[0];

function flat(
  { apiGroup, resource, verb, namespace, name, nonResourcePath }: Permission,
): string {
  if (nonResourcePath !== undefined) return `${verb} ${nonResourcePath}`;
  return [namespace ?? "*", verb, apiGroup, resource, name ?? "*"].join(" ");
}

/** What a role's rules grant, one line for each verb of each object. */
function grants(role: Manifest): string[] {
  return role.rules.flatMap((rule: {
    apiGroups?: string[];
    resources?: string[];
    nonResourceURLs?: string[];
    verbs: Permission["verb"][];
    resourceNames?: (string | undefined)[];
  }) => {
    const { apiGroups = [], resources = [], verbs, resourceNames = [undefined] } = rule;
    const urls = (rule.nonResourceURLs ?? []).flatMap((nonResourcePath) =>
      verbs.map((verb) => flat({ apiGroup: "", resource: "", verb, nonResourcePath }))
    );
    return urls.concat(
      apiGroups.flatMap((apiGroup) =>
        resources.flatMap((resource) =>
          resourceNames.flatMap((name) =>
            verbs.map((verb) => flat({ apiGroup, resource, verb, ...role.metadata, name }))
          )
        )
      ),
    );
  });
}

function granted(): string[] {
  const roles = all.filter(({ kind }) => kind === "Role" || kind === "ClusterRole");
  return roles.flatMap((role) => {
    const { namespace } = role.metadata;
    return grants({ ...role, metadata: namespace === undefined ? {} : { namespace } });
  });
}

Deno.test("the service's roles grant each call that its code makes, and nothing else", () => {
  // The apply that makes a ConfigMap is a patch, for which the API server requires "create" as well.
  const needed = new Set(
    shippedPermissions.flatMap((permission) =>
      permission.verb === "patch"
        ? [flat(permission), flat({ ...permission, verb: "create" })]
        : [flat(permission)]
    ),
  );
  assert.deepEqual(granted().sort(), [...needed].sort());
});

Deno.test("only the service's account is bound to a role; the driver's has none", () => {
  const bindings = all.filter(({ kind }) => /RoleBinding$/.test(kind));
  assert.equal(bindings.length, 2);
  for (const { subjects } of bindings) {
    assert.deepEqual(subjects, [{ kind: "ServiceAccount", name: "cert-service", namespace }]);
  }
  assert.equal(daemonSet.spec.serviceAccountName, "csi-cert-driver");
  assert.equal(daemonSet.spec.automountServiceAccountToken, false);
  assert.equal(one("ServiceAccount", "csi-cert-driver").automountServiceAccountToken, false);
});

Deno.test("the driver has one token, of the audience that the service requires", () => {
  const { volumes } = daemonSet.spec;
  const projected = volumes.filter((volume: Manifest) => volume.projected !== undefined);
  assert.equal(projected.length, 1);
  const [{ serviceAccountToken, ...others }] = projected[0].projected.sources;
  assert.deepEqual(others, {});
  assert.equal(serviceAccountToken.audience, tokenAudience);
  const { mountPath } = driver.volumeMounts.find(({ name }: Manifest) => name === "token");
  const { CERT_SERVICE_TOKEN_FILE } = environment(driver);
  assert.equal(CERT_SERVICE_TOKEN_FILE, `${mountPath}/${serviceAccountToken.path}`);
});

Deno.test("each variable in the manifest is one the programs read, and all are accepted", () => {
  const variables = { driver: driverVariables, service: serviceVariables };
  for (const [program, container] of Object.entries({ driver, service })) {
    const table = variables[program as keyof typeof variables];
    const known: string[] = Object.values(table).map(({ name }) => name);
    for (const { name } of container.env) assert.ok(known.includes(name), name);
  }
  for (
    const outcome of [
      readDriverConfig(environment(driver), "host"),
      readServiceConfig(environment(service)),
    ]
  ) {
    assert.deepEqual(outcome.kind === "refused" ? outcome.problems : outcome.warnings, []);
  }
});

Deno.test("the only account that may attest for nodes is the driver's", () => {
  const outcome = readServiceConfig(environment(service));
  assert.ok(outcome.kind === "config");
  assert.deepEqual(outcome.config.driverServiceAccount, {
    namespace,
    name: daemonSet.spec.serviceAccountName,
  });
  assert.equal(outcome.config.authentication.kind, "kubernetes");
  assert.deepEqual(outcome.config.ca, { kind: "secret", namespace, name: "csi-ca-secret" });
});

Deno.test("ports and probes are those that the programs serve", () => {
  const portOf = ({ default: address }: { default: string }) => Number(address.split(":").at(-1));
  const { listenAddress, attestationAddress, health } = serviceVariables;
  const ports = (container: Manifest) =>
    Object.fromEntries(
      container.ports.map(({ name, containerPort }: Manifest) => [name, containerPort]),
    );
  assert.deepEqual(ports(service), {
    grpc: portOf(listenAddress),
    attestation: portOf(attestationAddress),
    health: portOf(health),
  });
  assert.deepEqual(ports(driver), { health: portOf(health) });
  for (const { startupProbe, livenessProbe, readinessProbe } of [service, driver]) {
    assert.deepEqual(startupProbe.httpGet, { path: "/livez", port: "health" });
    assert.deepEqual(livenessProbe.httpGet, { path: "/livez", port: "health" });
    assert.deepEqual(readinessProbe.httpGet, { path: "/readyz", port: "health" });
  }
  const [{ port, targetPort }, attestation] = one("Service", "cert-service").spec.ports;
  assert.equal(targetPort, "grpc");
  assert.equal(attestation.targetPort, "attestation");
  const { CERT_SERVICE_ADDR } = environment(driver);
  const hostname = `cert-service.${namespace}.svc`;
  assert.equal(CERT_SERVICE_ADDR, `https://${hostname}:${port}`);
  const outcome = readDriverConfig(environment(driver), "host");
  assert.ok(outcome.kind === "config" && outcome.config.certService.identity?.kind === "attested");
  const endpoint = { hostname, port: attestation.port };
  assert.deepEqual(outcome.config.certService.identity.attestation, endpoint);
});

Deno.test("the network policies let drivers reach the service, its replicas each other, and all reach health", () => {
  const policy = (name: string) => one("NetworkPolicy", name).spec;
  const labels = { driver: { app: "csi-cert-driver" }, service: { app: "cert-service" } };
  assert.deepEqual(daemonSet.metadata.labels.app, labels.driver.app);
  assert.deepEqual(deployment.metadata.labels.app, labels.service.app);
  const from = (matchLabels: Record<string, string>) => [{ podSelector: { matchLabels } }];
  const ports = (...names: string[]) => names.map((port) => ({ port }));
  assert.deepEqual(policy("cert-service"), {
    podSelector: { matchLabels: labels.service },
    policyTypes: ["Ingress"],
    ingress: [
      { from: from(labels.driver), ports: ports("grpc", "attestation") },
      { from: from(labels.service), ports: ports("grpc") },
      { ports: ports("health") },
    ],
  });
  assert.deepEqual(policy("csi-cert-driver"), {
    podSelector: { matchLabels: labels.driver },
    policyTypes: ["Ingress"],
    ingress: [{ ports: ports("health") }],
  });
});

Deno.test("the CSIDriver object states what the driver relies on", () => {
  assert.deepEqual(one("CSIDriver", driverName).spec, {
    attachRequired: false,
    podInfoOnMount: true,
    volumeLifecycleModes: ["Ephemeral"],
    fsGroupPolicy: "None",
    requiresRepublish: true,
  });
});

Deno.test("no container can write to its root, and the service runs as an unprivileged user", () => {
  assert.equal(service.securityContext.allowPrivilegeEscalation, false);
  assert.deepEqual(service.securityContext.capabilities, { drop: ["ALL"] });
  assert.equal(deployment.spec.securityContext.runAsNonRoot, true);
  for (const { spec } of [daemonSet, deployment]) {
    assert.equal(spec.hostNetwork, undefined);
    assert.equal(spec.hostPID, undefined);
    for (const { securityContext, resources, image } of spec.containers) {
      assert.equal(securityContext.readOnlyRootFilesystem, true);
      assert.ok(resources.requests.memory && resources.limits.memory);
      assert.equal(image, imageName);
    }
  }
});

Deno.test("paths on the host match those in the driver's container", () => {
  assertDriverPaths(all, "/var/lib/kubelet");
});

Deno.test("the cluster autoscaler leaves the driver on a node until the node's pods have ended", () => {
  const { annotations } = daemonSet.metadata;
  assert.equal(annotations["cluster-autoscaler.kubernetes.io/enable-ds-eviction"], "false");
});

Deno.test("every volume is mounted, every mount has its volume, and selectors match labels", () => {
  for (const workload of [one("DaemonSet", "csi-cert-driver"), one("Deployment", "cert-service")]) {
    const { selector, template } = workload.spec;
    const volumes = template.spec.volumes.map(({ name }: Manifest) => name);
    const mounts = template.spec.containers[0].volumeMounts.map(({ name }: Manifest) => name);
    assert.deepEqual(mounts.toSorted(), volumes.toSorted());
    for (const [label, value] of Object.entries(selector.matchLabels)) {
      assert.equal(template.metadata.labels[label], value);
    }
  }
  const { matchLabels } = one("PodDisruptionBudget", "cert-service").spec.selector;
  assert.deepEqual(one("Service", "cert-service").spec.selector, matchLabels);
});

Deno.test("the administrator's socket is in memory, where the commands look for it", () => {
  const { ADMIN_SOCKET } = environment(service);
  const read = readAdminSocket({});
  assert.ok(read.kind === "config");
  assert.equal(ADMIN_SOCKET, read.config.path);
  const mount = service.volumeMounts.find(({ name }: Manifest) => name === "admin-socket");
  assert.equal(`${mount.mountPath}/admin.sock`, ADMIN_SOCKET);
  const volume = deployment.spec.volumes.find(({ name }: Manifest) => name === "admin-socket");
  assert.equal(volume.emptyDir.medium, "Memory");
});

Deno.test("the policy's ConfigMap is mounted where the example and the documentation set POLICY_FILE", async () => {
  const volume = deployment.spec.volumes.find(({ name }: Manifest) => name === "policy");
  const { mountPath } = service.volumeMounts.find(({ name }: Manifest) => name === "policy");
  for (const path of ["deploy/example-policy.yaml", "docs/how-to/set-a-policy.md"]) {
    const text = await Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
    assert.ok(text.includes(`POLICY_FILE=${mountPath}/policy.yaml`), path);
    assert.ok(text.includes(`create configmap ${volume.configMap.name} `), path);
  }
});

Deno.test("the example pod uses the driver, read-only, with attributes it knows", async () => {
  const [pod] = await manifests("example-pod.yaml");
  const [{ csi }] = pod.spec.volumes;
  assert.equal(csi.driver, driverName);
  assert.equal(csi.readOnly, true);
});

Deno.test("the tutorial and the example itself set a MIN_VALIDITY with which its pods are granted", async () => {
  const durations = (await manifests("examples/mutual-tls.yaml"))
    .flatMap(({ spec }) => spec?.template?.spec.volumes ?? [])
    .flatMap(({ csi }: Manifest) => csi?.volumeAttributes.duration ?? []);
  assert.equal(durations.length, 2);
  for (const path of ["deploy/examples/mutual-tls.yaml", "docs/tutorial/first-mutual-tls.md"]) {
    const text = await Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
    const [, minimum] = /set env deployment\/cert-service MIN_VALIDITY=(\S+)$/m.exec(text) ?? [];
    for (const duration of durations) assert.equal(duration, minimum, path);
  }
});

Deno.test("the manifest is the same for clusters of IPv4, IPv6 and both: it states no address and no family", () => {
  const stated = JSON.stringify(all)
    .match(/ipFamil\w+|ipBlock|"clusterIP":"[^N]|\w+_ADDR\b|\d+\.\d+\.\d+\.\d+|\[::\]/g);
  // The driver calls the service by its name.
  assert.deepEqual(stated, ["CERT_SERVICE_ADDR"]);
});
