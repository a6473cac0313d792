import assert from "node:assert/strict";
import type { Environment } from "../../../src/shared/config/environment.ts";
import { readAdminSocket } from "../../../src/service/program/admin_socket.ts";
import { readServiceConfig, type ServiceConfig } from "../../../src/service/program/config.ts";
import { formatDuration } from "../../../src/shared/text/durations.ts";

function read(environment: Environment): { config: ServiceConfig; warnings: string[] } {
  const outcome = readServiceConfig(environment);
  assert.equal(outcome.kind, "config", JSON.stringify(outcome));
  return outcome.kind === "config" ? outcome : assert.fail();
}

function problems(environment: Environment): string[] {
  const outcome = readServiceConfig(environment);
  assert.equal(outcome.kind, "refused", JSON.stringify(environment).slice(0, 200));
  return outcome.kind === "refused" ? outcome.problems : assert.fail();
}

function withoutDurations(config: ServiceConfig) {
  const { minValidity, defaultValidity, maxValidity, caRotationDelay, ...rest } = config;
  const durations = [minValidity, defaultValidity, maxValidity, caRotationDelay];
  return [durations.map(formatDuration), rest] as const;
}

Deno.test("a service without any variable has the documented defaults", () => {
  const { config, warnings } = read({});
  const [durations, rest] = withoutDurations(config);
  assert.deepEqual(durations, ["1h", "168h", "720h", "10m"]);
  assert.deepEqual(rest, {
    listenAddress: { hostname: "::", port: 50051, variable: "LISTEN_ADDR", isDefault: true },
    tls: true,
    authentication: { kind: "kubernetes" },
    attestationAddress: {
      hostname: "::",
      port: 50052,
      variable: "ATTESTATION_LISTEN_ADDR",
      isDefault: true,
    },
    clusterId: undefined,
    ca: { kind: "secret", namespace: "kube-system", name: "csi-ca-secret" },
    clusterDomain: "cluster.local",
    servingName: "cert-service.csi-cert-driver.internal",
    trustDomain: "cluster.local",
    policyFile: undefined,
    driverServiceAccount: { namespace: "csi-cert-system", name: "csi-cert-driver" },
    peers: undefined,
    adminSocket: undefined,
    health: { hostname: "::", port: 9808, variable: "HEALTH_ADDR", isDefault: true },
    logging: { level: "info", format: "text" },
  });
  assert.deepEqual(warnings, []);
});

Deno.test("every variable of the service is read", () => {
  const { config, warnings } = read({
    LISTEN_ADDR: "[::]:443",
    TLS: "on",
    AUTHENTICATION: "kubernetes",
    ATTESTATION_LISTEN_ADDR: "[::]:444",
    CLUSTER_ID: "prod-1.example:7",
    DRIVER_SERVICE_ACCOUNT: "a/b.c",
    CA_CERT_FILE: "/ca/tls.crt",
    CA_KEY_FILE: "/ca/tls.key",
    CA_ROTATION_DELAY: "0s",
    MIN_VALIDITY: "10s",
    DEFAULT_VALIDITY: "10s",
    MAX_VALIDITY: "87600h",
    POLICY_FILE: "/policy.yaml",
    PEERS: "cert-service-peers.csi-cert-system.svc:50051, [fd00::1]:7",
    ADMIN_SOCKET: "/run/a.sock",
    CLUSTER_DOMAIN: "k8s.example",
    SERVING_NAME: "cert-service.k8s.example",
    TRUST_DOMAIN: "prod_1.example",
    HEALTH_ADDR: "localhost:1",
    LOG_LEVEL: "WARN",
    LOG_FORMAT: "json",
  });
  const [durations, rest] = withoutDurations(config);
  assert.deepEqual(durations, ["10s", "10s", "87600h", "0s"]);
  assert.deepEqual(rest, {
    listenAddress: { hostname: "::", port: 443, variable: "LISTEN_ADDR", isDefault: false },
    tls: true,
    authentication: { kind: "kubernetes" },
    attestationAddress: {
      hostname: "::",
      port: 444,
      variable: "ATTESTATION_LISTEN_ADDR",
      isDefault: false,
    },
    clusterId: "prod-1.example:7",
    ca: { kind: "files", certificateFile: "/ca/tls.crt", privateKeyFile: "/ca/tls.key" },
    clusterDomain: "k8s.example",
    servingName: "cert-service.k8s.example",
    trustDomain: "prod_1.example",
    policyFile: "/policy.yaml",
    peers: [
      { hostname: "cert-service-peers.csi-cert-system.svc", port: 50051 },
      { hostname: "fd00::1", port: 7 },
    ],
    driverServiceAccount: { namespace: "a", name: "b.c" },
    adminSocket: "/run/a.sock",
    health: { hostname: "localhost", port: 1, variable: "HEALTH_ADDR", isDefault: false },
    logging: { level: "warning", format: "json" },
  });
  assert.deepEqual(warnings, []);
});

const bad: Record<string, string[]> = {
  LISTEN_ADDR: ["50051", ":50051", "0.0.0.0", "0.0.0.0:65536", "a_b:1", "unix:///x", "1.2.3:1"],
  TLS: ["true", "ON", "no"],
  AUTHENTICATION: ["None", "token", "off"],
  CLIENT_CA_FILE: ["ca.crt", "/a/../b"],
  ATTESTATION_LISTEN_ADDR: ["50052", ":50052", "https://0.0.0.0:50052", "0.0.0.0:65536"],
  CLUSTER_ID: ["a b", "a/b", "\u00e9", "a".repeat(254)],
  DRIVER_SERVICE_ACCOUNT: ["csi-cert-driver", "a/b/c", "/b", "a/", "A/b", "a/b c", "a/b..c"],
  CA_SECRET_NAME: ["Secret", "a/b", "../a", "-a", "a".repeat(254)],
  CA_SECRET_NAMESPACE: ["kube system", "a_b", "a.b", "a".repeat(64)],
  CA_ROTATION_DELAY: ["-1s", "721h", "10"],
  DEFAULT_VALIDITY: ["9s", "0", "-1h", "87601h", "7d"],
  MIN_VALIDITY: ["9s", "87601h", "1y"],
  MAX_VALIDITY: ["9s", "87601h", "1y"],
  POLICY_FILE: ["policy.yaml"],
  PEERS: ["a", "a:1,", "a:1,b", "a:0", "a:1;b:2"],
  SERVING_NAME: [
    ...["cert-service", "*.k8s.example", "A.example", "a..b", `${"a".repeat(60)}.bcde`],
    ...["my.localhost", "kubernetes.default", "kubernetes.default.svc.cluster.local", "10.0.0.1"],
  ],
  TRUST_DOMAIN: ["spiffe://a", "A.example", "a/b", "a:1", "a b", "a%2e", "a".repeat(256)],
};
for (const [name, values] of Object.entries(bad)) {
  Deno.test(`a bad ${name} is rejected with its value and what is accepted`, () => {
    for (const value of values) {
      const [problem = "", ...others] = problems({ [name]: value });
      assert.deepEqual(others, []);
      assert.ok(problem.startsWith(`${name}="`), problem);
      assert.match(problem, /": expected \S/);
    }
  });
}

Deno.test("PEERS is ignored with a warning where replicas have no certificates", () => {
  const { config, warnings } = read({ AUTHENTICATION: "none", PEERS: "a:1" });
  assert.equal(config.peers, undefined);
  assert.ok(warnings.some((warning) => warning.startsWith("PEERS is ignored")), `${warnings}`);
});

Deno.test("the trust domain is the cluster's domain unless TRUST_DOMAIN is set", () => {
  assert.equal(read({ CLUSTER_DOMAIN: "k8s.example" }).config.trustDomain, "k8s.example");
  const { clusterDomain, trustDomain } = read({ TRUST_DOMAIN: "prod" }).config;
  assert.deepEqual([clusterDomain, trustDomain], ["cluster.local", "prod"]);
});

Deno.test("validities that are unset follow those that are set", () => {
  const cases: [Record<string, string>, string, string, string][] = [
    [{}, "1h", "168h", "720h"],
    [{ MAX_VALIDITY: "24h" }, "1h", "24h", "24h"],
    [{ MAX_VALIDITY: "30m" }, "30m", "30m", "30m"],
    [{ DEFAULT_VALIDITY: "720h" }, "1h", "720h", "720h"],
    [{ DEFAULT_VALIDITY: "10m" }, "10m", "10m", "720h"],
    [{ MIN_VALIDITY: "10s" }, "10s", "168h", "720h"],
    [{ MIN_VALIDITY: "200h" }, "200h", "200h", "720h"],
    [{ MIN_VALIDITY: "2h", MAX_VALIDITY: "2h" }, "2h", "2h", "2h"],
  ];
  for (const [environment, ...expected] of cases) {
    const { minValidity, defaultValidity, maxValidity } = read(environment).config;
    const actual = [minValidity, defaultValidity, maxValidity].map(formatDuration);
    assert.deepEqual(actual, expected, JSON.stringify(environment));
  }
});

Deno.test("validities in the wrong order are rejected with both variables and their values", () => {
  const cases: [Record<string, string>, string[]][] = [
    [{ DEFAULT_VALIDITY: "1000h", MAX_VALIDITY: "10h" }, [
      'DEFAULT_VALIDITY="1000h": expected at most MAX_VALIDITY, which is 10h',
    ]],
    [{ DEFAULT_VALIDITY: "721h" }, [
      'DEFAULT_VALIDITY="721h": expected at most MAX_VALIDITY, which is 720h where it is unset',
    ]],
    [{ MIN_VALIDITY: "2h", MAX_VALIDITY: "1h" }, [
      'MIN_VALIDITY="2h": expected at most MAX_VALIDITY, which is 1h',
    ]],
    [{ MIN_VALIDITY: "2h", DEFAULT_VALIDITY: "1h" }, [
      'MIN_VALIDITY="2h": expected at most DEFAULT_VALIDITY, which is 1h',
    ]],
    [{ MIN_VALIDITY: "3h", DEFAULT_VALIDITY: "2h", MAX_VALIDITY: "1h" }, [
      'DEFAULT_VALIDITY="2h": expected at most MAX_VALIDITY, which is 1h',
      'MIN_VALIDITY="3h": expected at most MAX_VALIDITY, which is 1h',
    ]],
  ];
  for (const [environment, expected] of cases) assert.deepEqual(problems(environment), expected);
  const bad = { MIN_VALIDITY: "99h", DEFAULT_VALIDITY: "48h", MAX_VALIDITY: "1" };
  assert.equal(problems(bad).length, 2, "a value that cannot be read is compared with nothing");
});

Deno.test("AUTHENTICATION=mtls needs CLIENT_CA_FILE", () => {
  assert.match(problems({ AUTHENTICATION: "mtls" }).join(), /^CLIENT_CA_FILE is not set/);
  const mtls = read({ AUTHENTICATION: "mtls", CLIENT_CA_FILE: "/client/ca.crt" });
  assert.deepEqual(mtls.config.authentication, { kind: "mtls", clientCaFile: "/client/ca.crt" });
  assert.deepEqual(mtls.warnings, []);
  const { warnings } = read({ CLIENT_CA_FILE: "/ca.crt" });
  assert.deepEqual(warnings, [
    "CLIENT_CA_FILE is ignored: AUTHENTICATION is kubernetes, and only mtls uses it",
  ]);
});

Deno.test("TLS=off needs AUTHENTICATION=none", () => {
  assert.match(problems({ TLS: "off" }).join(), /^TLS="off": expected on with AUTHENTICATION=kube/);
  const mtls = { TLS: "off", AUTHENTICATION: "mtls", CLIENT_CA_FILE: "/ca.crt" };
  assert.match(problems(mtls).join(), /^TLS="off"/);
  const { config, warnings } = read({ TLS: "off", AUTHENTICATION: "none" });
  assert.equal(config.tls, false);
  assert.match(warnings.join(), /^AUTHENTICATION=none: every client that reaches LISTEN_ADDR/);
});

const caFiles = { CA_CERT_FILE: "/tls.crt", CA_KEY_FILE: "/tls.key" };

Deno.test("CLUSTER_ID is required where nodes attest and the CA is in files, and ignored elsewhere", () => {
  assert.deepEqual(problems(caFiles), [
    "CLUSTER_ID is not set: expected a text that no other cluster has, such as its name, with " +
    "AUTHENTICATION=kubernetes and the CA in files",
  ]);
  assert.equal(read({ ...caFiles, CLUSTER_ID: "one" }).config.clusterId, "one");
  const unread = [
    "CLUSTER_ID is ignored: only AUTHENTICATION=kubernetes with CA_CERT_FILE uses it",
  ];
  const withSecret = read({ CLUSTER_ID: "one" });
  assert.deepEqual([withSecret.config.clusterId, withSecret.warnings], [undefined, unread]);
  const mtls = { ...caFiles, AUTHENTICATION: "mtls", CLIENT_CA_FILE: "/ca.crt" };
  assert.deepEqual(read(mtls).warnings, []);
  assert.deepEqual(read({ ...mtls, CLUSTER_ID: "one" }).warnings, unread);
  assert.equal(problems({ ...caFiles, CLUSTER_ID: "a b" }).length, 1);
});

Deno.test("CA_CERT_FILE and CA_KEY_FILE are set together or not at all", () => {
  const mtls = { AUTHENTICATION: "mtls", CLIENT_CA_FILE: "/ca.crt" };
  const [certificate, key] = [{ CA_CERT_FILE: "/tls.crt" }, { CA_KEY_FILE: "/tls.key" }];
  assert.match(problems({ ...mtls, ...certificate }).join(), /^CA_KEY_FILE is not set/);
  assert.match(problems({ ...mtls, ...key }).join(), /^CA_CERT_FILE is not set/);
  const both = { ...mtls, ...certificate, ...key, CA_SECRET_NAME: "ca" };
  assert.match(read(both).warnings.join(), /^CA_SECRET_NAME .* ignored/);
});

Deno.test("the commands read no variable but ADMIN_SOCKET, whose default is the path of the manifest", () => {
  const socket = (environment: Environment) => {
    const read = readAdminSocket({ ...environment, LISTEN_ADDR: "nonsense", TLS: "maybe" });
    return read.kind === "config" ? read.config.path : read.problems.join();
  };
  assert.equal(socket({}), "/run/cert-service/admin.sock");
  assert.equal(socket({ ADMIN_SOCKET: "" }), "/run/cert-service/admin.sock");
  assert.equal(socket({ ADMIN_SOCKET: "/tmp/a.sock" }), "/tmp/a.sock");
  // A server listens at a longer name first.
  const long = `/${"d".repeat(97)}/a`;
  assert.equal(readAdminSocket({ ADMIN_SOCKET: long }).kind, "refused");
  for (const path of ["a.sock", "/a/../b.sock", `/${"x".repeat(107)}`]) {
    assert.match(socket({ ADMIN_SOCKET: path }), /ADMIN_SOCKET=.*expected an absolute path of at/);
  }
});
