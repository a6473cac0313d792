/** The structure of src as data, which tests/structure_test.ts compares with the files. */
import { folders } from "./import_table.ts";
import type { Structure } from "./structure.ts";

const driver = "src/csi_driver.ts";
const service = "src/cert_service.ts";

export const structure: Structure = {
  folders,
  generated: "shared/gen",
  // 84 MB of memory, which a service without the Kubernetes API does without.
  loadedOnDemand: "service/kubernetes",
  entries: {
    [driver]: {
      program: "driver/program",
      mustNotReach: ["src/service/", "@kubernetes/client-node", "@peculiar/x509"],
    },
    [service]: {
      program: "service/program",
      mustNotReach: ["src/driver/"],
      firstImport: {
        path: "src/service/openssl/early_seed.ts",
        reason: "which seeds the random generator on another thread while the rest is loaded",
      },
    },
  },
  entryImports: ["shared/config", "shared/telemetry", "shared/text"],
  packages: {
    "@bufbuild/protobuf": [
      "shared/gen",
      "shared/grpc",
      "shared/grpc_client",
      "shared/grpc_server",
      "service/peers",
      "service/api",
    ],
    // The program folders translate a call's status code into its name.
    "@grpc/grpc-js": [
      "shared/grpc",
      "shared/grpc_client",
      "shared/grpc_server",
      "driver/service_client",
      "driver/csi",
      "driver/program",
      "service/peers",
      "service/api",
      "service/admin",
      "service/program",
    ],
    "@kubernetes/client-node": ["service/kubernetes"],
    // These folders log; no other one does.
    "@logtape/logtape": [
      "shared/grpc",
      "shared/grpc_client",
      "shared/grpc_server",
      "shared/telemetry",
      "driver/volume",
      "driver/service_client",
      "driver/csi",
      "driver/program",
      "service/openssl",
      "service/ca",
      "service/access",
      "service/attestation",
      "service/revocation",
      "service/issuing",
      "service/kubernetes",
      "service/program",
    ],
    "@peculiar/webcrypto": [],
    "@peculiar/x509": ["service/x509"],
    "ajv": [],
    "esbuild": [],
    "fast-check": [],
    "reflect-metadata": ["service/x509"],
    "tlds": ["service/policy"],
    "yaml": ["service/policy", "service/admin"],
  },
  pure: [
    "shared/text",
    "shared/crypto",
    "shared/x509",
    "shared/attributes",
    "service/x509",
    "service/policy",
  ],
  takesClock: [
    "shared/scheduler",
    "shared/http",
    "driver/certificates",
    "driver/volume",
    "driver/service_client",
    "service/documents",
    "service/ca",
    "service/access",
    "service/attestation",
    "service/inventory",
    "service/revocation",
    "service/issuing",
    "service/peers",
    "service/kubernetes",
  ],
  clockExceptions: {
    "src/shared/scheduler/system_clock.ts": "is the system's Clock",
    "src/service/access/audit_log.ts": "builds its log records itself, with the time of the log",
  },
  usesDeno: [
    "shared/linux",
    "shared/network",
    "shared/grpc_server",
    "shared/http",
    "shared/telemetry",
    "driver/mount",
    "driver/records",
    "driver/service_client",
    "service/attestation",
    "service/openssl",
    "service/kubernetes",
    "service/program",
  ],
  usedByOneProgram: {
    [driver]: [
      "src/shared/gen/csi_pb.ts",
      "src/shared/gen/plugin_registration_pb.ts",

      "src/shared/linux/directory_removal.ts",
      "src/shared/linux/disk.ts",
      "src/shared/linux/memory_trim.ts",
    ],
    [service]: [
      "src/shared/gen/health_pb.ts",
      "src/shared/gen/reflection_pb.ts",
      "src/shared/scheduler/fair_queue.ts",
      "src/shared/x509/fingerprint.ts",
    ],
  },
};
