import type { Folder } from "./structure.ts";

/**
 * Every folder of src: what it is for, its main file, and the folders that it imports, by wing.
 * A folder stands behind those that it imports, so that there is no cycle.
 */
export const folders: Readonly<Record<string, Folder>> = {
  "shared/text": {
    purpose: "durations, DNS names, IP addresses, URIs, printable text, the product's fixed names",
    mainFile: "name_syntax.ts",
    mayImport: {},
  },
  "shared/crypto": {
    purpose: "keys, signatures, DER, PEM",
    mainFile: "key_pairs.ts",
    mayImport: {},
  },
  "shared/scheduler": {
    purpose: "clock, jobs by key, backoff, semaphore, fair queue, event-loop yield, abort signals",
    mainFile: "scheduler.ts",
    mayImport: {},
  },
  "shared/gen": { purpose: "generated from `proto/`, never edited", mayImport: {} },
  "shared/grpc": {
    purpose: "what client and server share: message coding, definitions, errors, limits of frames",
    mainFile: "service_definition.ts",
    mayImport: { shared: ["text", "scheduler"] },
  },
  "shared/linux": {
    purpose: "C library calls, calls of a disk, and file helpers that never follow a link",
    mainFile: "libc.ts",
    mayImport: { shared: ["text", "scheduler"] },
  },
  "shared/network": {
    purpose: "listening on TCP, limits of what one network address can use",
    mainFile: "bounded_groups.ts",
    mayImport: { shared: ["text", "scheduler"] },
  },
  "shared/x509": {
    purpose: "reads and verifies certificates, makes certificate requests",
    mainFile: "certificate.ts",
    mayImport: { shared: ["text", "crypto"] },
  },
  "shared/attributes": {
    purpose: "what a volume may ask for: grammar, templates, the pod's identity",
    mainFile: "volume_attributes.ts",
    mayImport: { shared: ["text", "crypto"] },
  },
  "shared/grpc_client": {
    purpose: "calls a gRPC service, and connects again when identities, files or servers change",
    mainFile: "client.ts",
    mayImport: { shared: ["text", "crypto", "scheduler", "grpc"] },
  },
  "shared/grpc_server": {
    purpose: "serves gRPC on a unix socket, or on TCP with TLS, with limits",
    mainFile: "server.ts",
    mayImport: { shared: ["text", "scheduler", "grpc", "network"] },
  },
  "shared/config": {
    purpose: "environment and command line to typed values, help page",
    mainFile: "environment.ts",
    mayImport: { shared: ["text"] },
  },
  "shared/http": {
    purpose: "serves HTTP/1.1, one request per connection, with a deadline and caps",
    mainFile: "request_reader.ts",
    mayImport: { shared: ["text", "scheduler", "network"] },
  },
  "shared/telemetry": {
    purpose: "logs, metrics, health endpoint, errors that no code handles",
    mainFile: "logging.ts",
    mayImport: { shared: ["text", "scheduler", "network", "http"] },
  },
  "driver/certificates": {
    purpose: "a key and a verified certificate for a volume, and when it is renewed",
    mainFile: "certificate_requester.ts",
    mayImport: { shared: ["crypto", "scheduler", "x509", "attributes"] },
  },
  "driver/volume": {
    purpose: "publish, unpublish, renew, reconcile after a restart, trust bundle updates",
    mainFile: "publisher.ts",
    mayImport: {
      shared: ["text", "crypto", "scheduler", "x509", "attributes"],
      driver: ["certificates"],
    },
  },
  "driver/mount": {
    purpose: "tmpfs and plain-directory mounters, staging area, atomic directory, mountinfo",
    mainFile: "tmpfs_mounter.ts",
    mayImport: { shared: ["text", "scheduler", "linux"], driver: ["volume"] },
  },
  "driver/records": {
    purpose: "`volume.json`, names of record directories, the lock on `CERT_BASE_PATH`",
    mainFile: "record_format.ts",
    mayImport: { shared: ["text", "linux", "x509", "attributes"], driver: ["volume"] },
  },
  "driver/service_client": {
    purpose: "the driver's end of the certificate service's protocol",
    mainFile: "issuance_client.ts",
    mayImport: {
      shared: ["text", "crypto", "scheduler", "gen", "grpc", "x509", "attributes", "grpc_client"],
      driver: ["certificates"],
    },
  },
  "driver/csi": {
    purpose: "CSI and plugin registration messages to and from `driver/volume`",
    mainFile: "node_service.ts",
    mayImport: { shared: ["text", "scheduler", "gen", "grpc", "attributes"], driver: ["volume"] },
  },
  "driver/program": {
    purpose: "configuration, help, composition, metrics, status command",
    mainFile: "config.ts",
    mayImport: {
      shared: [
        "text",
        "scheduler",
        "gen",
        "linux",
        "network",
        "grpc_server",
        "config",
        "telemetry",
      ],
      driver: ["certificates", "volume", "mount", "records", "service_client", "csi"],
    },
  },
  "service/x509": {
    purpose: "leaf and root certificates, the CA from its PEM, CA fitness",
    mainFile: "issuer.ts",
    mayImport: { shared: ["text", "crypto", "x509"] },
  },
  "service/documents": {
    purpose: "watched files, and small documents that replicas share",
    mainFile: "shared_document.ts",
    mayImport: { shared: ["text", "scheduler"] },
  },
  "service/openssl": {
    purpose: "signatures through libcrypto",
    mainFile: "openssl_engine.ts",
    mayImport: { shared: ["crypto"] },
  },
  "service/policy": {
    purpose: "rules, policy file, decision, default names, preview",
    mainFile: "policy.ts",
    mayImport: { shared: ["text", "crypto", "attributes"], service: ["x509"] },
  },
  "service/ca": {
    purpose: "loads, follows, rotates and shares the CA and the trust bundle",
    mainFile: "ca_controller.ts",
    mayImport: { shared: ["text", "crypto", "scheduler", "x509"], service: ["x509", "documents"] },
  },
  "service/access": {
    purpose: "who calls, what the caller may do, audit log",
    mainFile: "authenticator.ts",
    mayImport: {
      shared: ["text", "crypto", "scheduler", "x509", "attributes", "grpc_server"],
      service: ["x509", "documents", "ca"],
    },
  },
  "service/attestation": {
    purpose: "where a node shows its driver's token once and receives a client certificate",
    mainFile: "attestation_endpoint.ts",
    mayImport: {
      shared: ["text", "crypto", "scheduler", "network", "x509", "http"],
      service: ["access"],
    },
  },
  "service/inventory": {
    purpose: "what was issued, and to whom; drivers' reports",
    mainFile: "inventory.ts",
    mayImport: {
      shared: ["text", "crypto", "scheduler", "x509", "attributes"],
      service: ["x509", "policy", "ca", "access"],
    },
  },
  "service/revocation": {
    purpose: "which pods get no further certificate, which certificates of nodes are rejected",
    mainFile: "revocation.ts",
    mayImport: {
      shared: ["text", "scheduler", "x509", "attributes"],
      service: ["documents", "access", "inventory"],
    },
  },
  "service/issuing": {
    purpose: "authorize, queue, decide, sign, record; serving certificate, current policy",
    mainFile: "certificate_issuer.ts",
    mayImport: {
      shared: ["text", "crypto", "scheduler", "x509", "attributes"],
      service: [
        "x509",
        "documents",
        "policy",
        "ca",
        "access",
        "attestation",
        "inventory",
        "revocation",
      ],
    },
  },
  "service/peers": {
    purpose: "asks the other replicas for their parts of the inventory, merges the answers",
    mainFile: "peers.ts",
    mayImport: { shared: ["text", "scheduler", "gen", "grpc", "grpc_client"] },
  },
  "service/kubernetes": {
    purpose: "the cluster's API, and what `access`, `attestation`, `ca` and `documents` need of it",
    mainFile: "api_client.ts",
    mayImport: {
      shared: ["text", "crypto", "scheduler", "grpc_client"],
      service: ["documents", "ca", "access", "attestation"],
    },
  },
  "service/api": {
    purpose: "gRPC handlers, request validation, status codes, health, reflection, TLS identity",
    mainFile: "error_status.ts",
    mayImport: {
      shared: ["text", "crypto", "scheduler", "gen", "grpc", "attributes", "grpc_server"],
      service: ["ca", "access", "inventory", "revocation", "issuing", "peers"],
    },
  },
  "service/admin": {
    purpose:
      "administrator's commands: `list`, `get`, `revoke`, `init-ca`, `check-ca`, `check-policy`",
    mainFile: "commands.ts",
    mayImport: {
      shared: ["text", "crypto", "gen", "grpc", "x509", "grpc_client"],
      service: ["x509", "policy"],
    },
  },
  "service/program": {
    purpose: "configuration, help, composition, readiness, metrics",
    mainFile: "compose.ts",
    mayImport: {
      shared: [
        "text",
        "crypto",
        "scheduler",
        "gen",
        "linux",
        "network",
        "grpc_server",
        "config",
        "telemetry",
      ],
      service: [
        "documents",
        "openssl",
        "ca",
        "access",
        "attestation",
        "inventory",
        "revocation",
        "issuing",
        "peers",
        "kubernetes",
        "api",
        "admin",
      ],
    },
  },
};
