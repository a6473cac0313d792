import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { nodeService } from "../../src/driver/csi/node_service.ts";
import type { PublishRejection } from "../../src/driver/volume/publisher.ts";
import { requestFailureError } from "../../src/service/api/error_status.ts";
import {
  CertificateAdministration,
  CertificateService,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { page, rows } from "../support/documentation.ts";

/** The section of the gRPC page below a heading. */
function section(heading: string): string {
  const found = page("docs/reference/grpc.md").split(/^## /m)
    .find((text) => text.startsWith(`${heading}\n`));
  assert.ok(found, heading);
  return found;
}

for (const service of [CertificateService, CertificateAdministration]) {
  Deno.test(`the gRPC page lists the methods of ${service.name}`, () => {
    const listed = rows(section(service.name), "Method").map(([name]) => name);
    assert.deepEqual(listed.sort(), service.methods.map(({ name }) => name).sort());
  });
}

/** Outcome and code of each row. */
function documentedCodes(heading: string): Record<string, string> {
  const listed = rows(section(heading), "Outcome");
  return Object.fromEntries(
    listed.filter(([kind]) => kind !== "").map(([kind, code]) => [kind, code]),
  );
}

Deno.test("the gRPC page lists the status code of each outcome of cert-service", () => {
  const kinds = ["denied", "invalid", "unauthenticated", "overloaded", "unavailable", "unknown"];
  const codes = (kinds as Parameters<typeof requestFailureError>[0]["kind"][])
    .map((kind) => [kind, status[requestFailureError({ kind, reason: "" }).code]]);
  assert.deepEqual(documentedCodes("Status codes of cert-service"), Object.fromEntries(codes));
});

Deno.test("the gRPC page lists the status code of each outcome of csi-driver", async () => {
  const documented = documentedCodes("Status codes of csi-driver");
  const kinds: Record<PublishRejection["kind"], true> = {
    busy: true,
    conflict: true,
    occupied: true,
    unusable: true,
    denied: true,
    invalid: true,
    unavailable: true,
    overloaded: true,
  };
  assert.deepEqual(Object.keys(documented).sort(), Object.keys(kinds).sort());
  for (const [kind, code] of Object.entries(documented)) {
    const rejection = { kind, reason: "", retryAfter: undefined } as PublishRejection;
    const reject = () => Promise.resolve(rejection);
    const node = nodeService({
      nodeId: "worker-1",
      publisher: { publish: reject, unpublish: reject },
    });
    const call = node.nodeUnpublishVolume(
      {
        volumeId: "csi-1",
        targetPath: "/var/lib/kubelet/pods/7d1f/volumes/kubernetes.io~csi/certs/mount",
      } as Parameters<typeof node.nodeUnpublishVolume>[0],
      { signal: new AbortController().signal } as Parameters<typeof node.nodeUnpublishVolume>[1],
    );
    await assert.rejects(
      async () => await call,
      (error) => error instanceof RpcError && status[error.code] === code,
      kind,
    );
  }
});
