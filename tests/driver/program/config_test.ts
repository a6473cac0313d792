import assert from "node:assert/strict";
import { type DriverConfig, readDriverConfig } from "../../../src/driver/program/config.ts";
import type { Environment } from "../../../src/shared/config/environment.ts";
import { formatDuration } from "../../../src/shared/text/durations.ts";

function read(environment: Environment): { config: DriverConfig; warnings: string[] } {
  const outcome = readDriverConfig(environment, "node-1");
  assert.equal(outcome.kind, "config", JSON.stringify(outcome));
  return outcome.kind === "config" ? outcome : assert.fail();
}

function problems(environment: Environment, hostName = "node-1"): string[] {
  const outcome = readDriverConfig(environment, hostName);
  assert.equal(outcome.kind, "refused", JSON.stringify(environment).slice(0, 200));
  return outcome.kind === "refused" ? outcome.problems : assert.fail();
}

Deno.test("a driver without a variable set has the documented defaults", () => {
  const { config: { checkInterval, ...config }, warnings } = read({});
  assert.equal(formatDuration(checkInterval), "5m");
  assert.deepEqual(config, {
    socketPath: "/csi/csi.sock",
    nodeId: "node-1",
    certService: {
      address: "https://cert-service:50051",
      serverName: "cert-service.csi-cert-driver.internal",
      caFile: "/etc/csi-cert-driver/trust-bundle/ca.crt",
      identity: undefined,
    },
    certBasePath: "/var/lib/csi-certs",
    clusterDomain: "cluster.local",
    registration: undefined,
    health: { hostname: "::", port: 9808, variable: "HEALTH_ADDR", isDefault: true },
    logging: { level: "info", format: "text" },
    allowKeysOnDisk: false,
    selinuxContext: { context: "system_u:object_r:container_file_t:s0", isRequired: false },
  });
  assert.deepEqual(warnings, []);
});

Deno.test("every variable of the driver is read", () => {
  const environment: Record<string, string> = {
    CSI_ENDPOINT: "/run/csi.sock",
    NODE_ID: "node-2",
    CERT_SERVICE_ADDR: "https://[2001:DB8::1]:443/",
    CERT_SERVICE_CA_FILE: "/bundle/ca.crt",
    CERT_SERVICE_TOKEN_FILE: "/token/token",
    ATTESTATION_ADDR: "https://attest:8443/",
    CERT_BASE_PATH: "/data/",
    REGISTRATION_DIR: "/registration",
    KUBELET_SOCKET_PATH: "/var/lib/kubelet/plugins/x/csi.sock",
    CLUSTER_DOMAIN: "k8s.example",
    HEALTH_ADDR: "[::1]:0",
    LOG_LEVEL: "debug",
    LOG_FORMAT: "json",
    CHECK_INTERVAL: "90s",
    ALLOW_KEYS_ON_DISK: "true",
    SELINUX_CONTEXT: "system_u:object_r:data_t:s0:c1,c2",
    SERVING_NAME: "cert-service.k8s.example",
  };
  const { config: { checkInterval, ...config }, warnings } = read(environment);
  assert.equal(formatDuration(checkInterval), "1m30s");
  assert.deepEqual(config, {
    socketPath: "/run/csi.sock",
    nodeId: "node-2",
    certService: {
      address: "https://[2001:db8::1]:443",
      serverName: "cert-service.k8s.example",
      caFile: "/bundle/ca.crt",
      identity: {
        kind: "attested",
        attestation: { hostname: "attest", port: 8443 },
        tokenFile: "/token/token",
      },
    },
    certBasePath: "/data",
    clusterDomain: "k8s.example",
    registration: {
      directory: "/registration",
      kubeletSocketPath: "/var/lib/kubelet/plugins/x/csi.sock",
    },
    health: { hostname: "::1", port: 0, variable: "HEALTH_ADDR", isDefault: false },
    logging: { level: "debug", format: "json" },
    allowKeysOnDisk: true,
    selinuxContext: { context: "system_u:object_r:data_t:s0:c1,c2", isRequired: true },
  });
  assert.deepEqual(warnings, []);
});

Deno.test("SELINUX_CONTEXT=off leaves the context out", () => {
  assert.equal(read({ SELINUX_CONTEXT: "off" }).config.selinuxContext, undefined);
});

Deno.test("SELINUX_CONTEXT has to be a context that cannot contain other mount options", () => {
  const [problem = ""] = problems({ SELINUX_CONTEXT: 'u:r:t:s0",size=1g' });
  assert.match(problem, /SELINUX_CONTEXT.*user:role:type:level, or off/);
});

const bytes107 = `/${"s".repeat(106)}`;
for (
  const [given, path] of [
    ["unix:///csi/csi.sock", "/csi/csi.sock"],
    ["unix://csi.sock", "csi.sock"],
    ["/csi/csi.sock", "/csi/csi.sock"],
    [`unix://${bytes107}`, bytes107],
    [`/${"d".repeat(96)}/csi.sock`, `/${"d".repeat(96)}/csi.sock`],
  ] as const
) {
  Deno.test(`CSI_ENDPOINT=${given.slice(0, 30)} is a socket's path`, () => {
    assert.equal(read({ CSI_ENDPOINT: given }).config.socketPath, path);
  });
}

for (
  const [given, address] of [
    ["https://cert-service", "https://cert-service:50051"],
    ["https://Cert-Service:1", "https://cert-service:1"],
    ["https://10.0.0.1:65535", "https://10.0.0.1:65535"],
    ["https://[::1]", "https://[::1]:50051"],
    ["http://localhost:8080/", "http://localhost:8080"],
  ] as const
) {
  Deno.test(`CERT_SERVICE_ADDR=${given} is ${address}`, () => {
    assert.equal(read({ CERT_SERVICE_ADDR: given }).config.certService.address, address);
  });
}

const bad: Record<string, string[]> = {
  CSI_ENDPOINT: ["tcp://0.0.0.0:1", "unix://", "unix:///csi/", "csi.sock", `${bytes107}s`]
    .concat(`/${"é".repeat(54)}`, "/a\u0000b", "unix:///a/..")
    // The path fits, but not the name at which the socket listens first.
    .concat(`/${"d".repeat(97)}/s`),
  NODE_ID: ["n".repeat(193), "é".repeat(97), "a b", "a\nb", " "],
  CERT_SERVICE_ADDR: [
    "cert-service:50051",
    "grpc://a:1",
    "https://",
    "https://a:0",
    "https://a:65536",
  ]
    .concat("https://a:1/path", "https://u@a:1", "https://a_b:1", "https://a:", "https://::1:5"),
  CERT_SERVICE_CA_FILE: ["ca.crt", "/", "/a/../b", "/a\u0007"],
  CERT_SERVICE_TOKEN_FILE: ["token", "./token"],
  ATTESTATION_ADDR: [
    "http://a:1",
    "a:1",
    "https://a",
    "https://a:0",
    "https://a:1/path",
    "https://",
  ],
  CERT_BASE_PATH: ["data", "~/data", "/./data", "/a".repeat(5000)],
  REGISTRATION_DIR: ["registration", `/${"r".repeat(78)}`],
  KUBELET_SOCKET_PATH: ["unix:///csi.sock", `${bytes107}s`],
  CLUSTER_DOMAIN: ["Cluster.local", "cluster.local.", ".", "a_b", "1.2.3.4", "a".repeat(10_000)],
  HEALTH_ADDR: [
    "9808",
    ":9808",
    "0.0.0.0",
    "0.0.0.0:",
    "0.0.0.0:99999",
    "OFF",
    "::1:1",
    "http://a:1",
  ],
  LOG_LEVEL: ["verbose", "off", "5", "info,debug"],
  LOG_FORMAT: ["xml", "JSON"],
  CHECK_INTERVAL: ["9s", "24h1s", "0", "-5m", "5", "5 m", "soon"],
  ALLOW_KEYS_ON_DISK: ["yes", "1", "TRUE"],
};
for (const [name, values] of Object.entries(bad)) {
  Deno.test(`${name} is rejected, and the message states the value and what is accepted`, () => {
    for (const value of values) {
      const [problem = "", ...others] = problems({ [name]: value });
      assert.deepEqual(others, []);
      assert.ok(problem.startsWith(`${name}="`), problem);
      assert.match(problem, /": expected \S/);
      assert.match(problem, /^[^\p{C}]{0,300}$/u);
    }
  });
}

Deno.test("an empty variable counts as unset", () => {
  const names = [...Object.keys(bad), "GRPC_TRACE", "CERT_SERVICE_CLIENT_KEY_FILE"];
  const { config } = read(Object.fromEntries(names.map((name) => [name, ""])));
  assert.deepEqual(JSON.stringify(config), JSON.stringify(read({}).config));
});

Deno.test("every problem is reported at once", () => {
  const found = problems({
    CSI_ENDPOINT: "tcp://x",
    CHECK_INTERVAL: "soon",
    CERT_SERVICE_CLIENT_CERT_FILE: "/tls.crt",
    GRPC_TRACE: "all",
  }, "");
  assert.deepEqual(found.map((problem) => problem.split(/[= ]/)[0]), [
    "CSI_ENDPOINT",
    "CHECK_INTERVAL",
    "GRPC_TRACE",
    "NODE_ID",
    "CERT_SERVICE_CLIENT_KEY_FILE",
  ]);
});

Deno.test("a host name that cannot be a node's name makes NODE_ID required", () => {
  for (const hostName of ["", "a b", "h".repeat(193)]) {
    assert.match(problems({}, hostName)[0] ?? "", /^NODE_ID is not set: expected/);
  }
  assert.equal(read({ NODE_ID: "n".repeat(192) }).config.nodeId.length, 192);
});

Deno.test("a client certificate and its key are both set or both unset", () => {
  const half = { CERT_SERVICE_CLIENT_CERT_FILE: "/tls.crt" };
  assert.match(problems(half)[0] ?? "", /^CERT_SERVICE_CLIENT_KEY_FILE is not set/);
  const other = { CERT_SERVICE_CLIENT_KEY_FILE: "/tls.key" };
  assert.match(problems(other)[0] ?? "", /^CERT_SERVICE_CLIENT_CERT_FILE is not set/);
});

Deno.test("the attestation endpoint is the service's host unless another is named", () => {
  const token = { CERT_SERVICE_TOKEN_FILE: "/token" };
  for (
    const [address, hostname] of [
      ["https://cert-service.ns:50051", "cert-service.ns"],
      ["https://[fd00::1]:1", "fd00::1"],
      ["https://10.0.0.1", "10.0.0.1"],
    ] as const
  ) {
    const { identity } = read({ ...token, CERT_SERVICE_ADDR: address }).config.certService;
    assert.deepEqual(identity, {
      kind: "attested",
      attestation: { hostname, port: 50052 },
      tokenFile: "/token",
    });
  }
  const { config, warnings } = read({ ATTESTATION_ADDR: "https://a:1" });
  assert.equal(config.certService.identity, undefined);
  assert.match(warnings.join(), /^ATTESTATION_ADDR is not used without CERT_SERVICE_TOKEN_FILE/);
});

Deno.test("a token and a client certificate exclude each other", () => {
  const files = {
    CERT_SERVICE_CLIENT_CERT_FILE: "/tls.crt",
    CERT_SERVICE_CLIENT_KEY_FILE: "/tls.key",
  };
  assert.deepEqual(read(files).config.certService.identity, {
    kind: "files",
    certificateFile: "/tls.crt",
    privateKeyFile: "/tls.key",
  });
  const [problem = "", ...others] = problems({ ...files, CERT_SERVICE_TOKEN_FILE: "/token" });
  assert.deepEqual(others, []);
  assert.match(
    problem,
    /^CERT_SERVICE_TOKEN_FILE=.*to be unset with CERT_SERVICE_CLIENT_CERT_FILE: .*=kubernetes.*=mtls/,
  );
});

Deno.test("plaintext is warned of, and never carries a token or a client certificate", () => {
  const plain = { CERT_SERVICE_ADDR: "http://cert-service" };
  const { config, warnings } = read(plain);
  assert.equal(config.certService.caFile, undefined);
  assert.match(warnings.join(), /^CERT_SERVICE_ADDR is http:/);
  const found = problems({
    ...plain,
    CERT_SERVICE_TOKEN_FILE: "/token",
    ATTESTATION_ADDR: "https://a:1",
    CERT_SERVICE_CLIENT_CERT_FILE: "/tls.crt",
    CERT_SERVICE_CLIENT_KEY_FILE: "/tls.key",
  });
  assert.deepEqual(found.map((problem) => problem.split("=")[0]), [
    "CERT_SERVICE_TOKEN_FILE",
    "ATTESTATION_ADDR",
    "CERT_SERVICE_CLIENT_CERT_FILE",
  ]);
});

Deno.test("the kubelet receives CSI_ENDPOINT's path unless KUBELET_SOCKET_PATH is set", () => {
  const directory = "/registration";
  assert.deepEqual(read({ REGISTRATION_DIR: directory }).config.registration, {
    directory,
    kubeletSocketPath: "/csi/csi.sock",
  });
  const relative = { REGISTRATION_DIR: directory, CSI_ENDPOINT: "unix://csi.sock" };
  assert.match(problems(relative)[0] ?? "", /^KUBELET_SOCKET_PATH is not set: .*CSI_ENDPOINT/);
});

Deno.test("HEALTH_ADDR=off serves no health", () => {
  assert.equal(read({ HEALTH_ADDR: "off" }).config.health, undefined);
});
