/** How much log a small request can write, whatever is wrong with it. */
import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Authenticator } from "../../../src/service/access/authenticator.ts";
import { administrationService } from "../../../src/service/api/administration_service.ts";
import { certificateService } from "../../../src/service/api/certificate_service.ts";
import {
  IssueCertificateRequestSchema,
  ReportCertificatesRequestSchema,
  RevokeCertificateRequestSchema,
} from "../../../src/shared/gen/certificate_service_pb.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import type { CallContext } from "../../../src/shared/grpc/service_definition.ts";
import { configureLogging } from "../../../src/shared/telemetry/logging.ts";
import { certificateRequest, openTestService, pod } from "../../support/service_fixture.ts";

/** An audit line contains its reason in the message and as a property, and other fields. */
const mostLogBytes = 4 * 1024;
const requestBytes = 2 * 1024;

const authenticator: Authenticator = {
  authenticate: () => Promise.resolve({ kind: "caller", caller: { kind: "node", node: "node-1" } }),
};
const context = {
  metadata: { get: () => [] },
  signal: new AbortController().signal,
} as unknown as CallContext;

interface Services {
  readonly service: ReturnType<typeof certificateService>;
  readonly administration: ReturnType<typeof administrationService>;
}

/** Calls one method with a message of at most 2 KiB; returns its error and what was logged. */
async function refused(
  call: (services: Services) => Promise<unknown>,
): Promise<{ error: RpcError; log: string }> {
  await using parts = await openTestService();
  const services = {
    service: certificateService({ ...parts, authenticator }),
    administration: administrationService(parts),
  };
  const lines: string[] = [];
  const options = { format: "json", level: "trace", program: "cert-service" } as const;
  await using _logging = await configureLogging({ ...options, write: (line) => lines.push(line) });
  const error = await call(services).then(() => undefined, (error) => error);
  assert(error instanceof RpcError, `${error}`);
  return { error, log: lines.join("\n") };
}

function assertBounded(what: string, { error, log }: { error: RpcError; log: string }): void {
  assert(log.length > 100, `${what}: nothing was logged`);
  assert(log.length <= mostLogBytes, `${what}: ${log.length} bytes of log`);
  assert(error.message.length <= 1_024, `${what}: a message of ${error.message.length} characters`);
}

Deno.test("1,000 empty entries of a report cause one short log line", async () => {
  const bytes = new Uint8Array(requestBytes).map((_, at) => at % 2 === 0 ? 0x0a : 0);
  const message = fromBinary(ReportCertificatesRequestSchema, bytes);
  assert.equal(message.certificates.length, 1_024);
  assertBounded(
    "over the bound",
    await refused(({ service }) => service.reportCertificates(message, context)),
  );
  message.certificates.length = 100;
  const most = await refused(({ service }) => service.reportCertificates(message, context));
  assertBounded("at the bound", most);
  assert.match(most.error.message, /^certificates\[0\]\.pod\.namespace: is missing/);
  assert.match(most.error.message, /; and 49\d more$/);
});

Deno.test("hundreds of unknown attributes or bad names cause one short log line", async () => {
  const valid = { pod: { ...pod }, certificateRequest: await certificateRequest() };
  const cases: Record<string, Record<string, string>> = {
    unknown: Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`${at}`, ""])),
    unprintable: Object.fromEntries(
      Array.from({ length: 60 }, (_, at) => [`\u0001${at}`, "\u{202e}"]),
    ),
    "dns-names": { "dns-names": Array.from({ length: 64 }, (_, at) => `{x${at}}`).join(",") },
    "missing labels": {
      "dns-names": Array.from({ length: 64 }, (_, at) => `{metadata.labels.x${at}}`).join(","),
    },
    denied: { "dns-names": Array.from({ length: 64 }, (_, at) => `a${at}.example.com`).join(",") },
    uris: {
      "uri-sans": Array.from({ length: 16 }, (_, at) => `a://${"b".repeat(90)}${at}`).join(),
    },
  };
  for (const [what, attributes] of Object.entries(cases)) {
    const message = create(IssueCertificateRequestSchema, {
      ...valid,
      certificateRequest: valid.certificateRequest as Uint8Array<ArrayBuffer>,
      volume: { id: "csi-1", name: "certs", attributes },
    });
    assert(toBinary(IssueCertificateRequestSchema, message).length <= 2 * requestBytes, what);
    assertBounded(what, await refused(({ service }) => service.issueCertificate(message, context)));
  }
});

Deno.test("fields of two kilobytes cause one short log line", async () => {
  const long = "\u0001x".repeat(requestBytes / 10);
  const message = create(IssueCertificateRequestSchema, {
    pod: { namespace: long, name: long, uid: long, serviceAccount: long },
    volume: { id: long, name: long },
  });
  assertBounded(
    "fields",
    await refused(({ service }) => service.issueCertificate(message, context)),
  );
  const revoke = create(RevokeCertificateRequestSchema, {
    target: { case: "podUid", value: long },
    reason: long,
  });
  assertBounded(
    "revoke",
    await refused(({ administration }) => administration.revokeCertificate(revoke, context)),
  );
});
