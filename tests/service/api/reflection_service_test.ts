import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ChannelCredentials, Client, status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import {
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../../src/shared/gen/reflection_pb.ts";
import { reflectionService } from "../../../src/service/api/reflection_service.ts";
import { serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { stubService } from "../../support/stub_service.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

type Request = MessageInitShape<typeof ServerReflectionRequestSchema>;
type Asked = NonNullable<Request["messageRequest"]>;

/** Asks a server all of this on one stream. */
async function ask(...asked: Asked[]): Promise<ServerReflectionResponse[]> {
  await using folder = await temporaryFolder();
  const certificates = stubService(CertificateService, {});
  const services = [certificates, reflectionService([certificates])];
  await using server = await serveUnix(`${folder.path}/x.sock`, { services });
  const client = new Client(`unix:${server.path}`, ChannelCredentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  try {
    const stream = client.makeBidiStreamRequest(
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
      (request: Request) =>
        Buffer.from(
          toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, request)),
        ),
      (bytes: Buffer) => fromBinary(ServerReflectionResponseSchema, bytes),
    );
    for (const messageRequest of asked) stream.write({ host: "h", messageRequest });
    stream.end();
    return await Array.fromAsync<ServerReflectionResponse>(stream);
  } finally {
    client.close();
  }
}

function filesIn({ messageResponse }: ServerReflectionResponse): string[] {
  assert.equal(messageResponse.case, "fileDescriptorResponse");
  return messageResponse.value.fileDescriptorProto
    .map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}

Deno.test("reflection lists all services including itself, and answers requests in order", async () => {
  const [first, second] = await ask(
    { case: "listServices", value: "*" },
    { case: "fileByFilename", value: "nope.proto" },
  );
  assert.equal(first!.messageResponse.case, "listServicesResponse");
  assert.deepEqual(first!.messageResponse.value.service.map(({ name }) => name), [
    "certservice.v1.CertificateService",
    "grpc.reflection.v1.ServerReflection",
  ]);
  assert.equal(first!.validHost, "h");
  assert.equal(second!.originalRequest?.messageRequest.value, "nope.proto");
});

Deno.test("a file is returned with all its imports", async () => {
  const timestamp = "google/protobuf/timestamp.proto";
  const [own, imported] = await ask(
    { case: "fileByFilename", value: "certificate_service.proto" },
    { case: "fileByFilename", value: timestamp },
  );
  assert.deepEqual(filesIn(own!), ["certificate_service.proto", timestamp]);
  assert.deepEqual(filesIn(imported!), [timestamp]);
});

Deno.test("every kind of symbol is found in its file", async () => {
  const symbols = {
    "certservice.v1.CertificateService": "certificate_service.proto",
    "certservice.v1.CertificateService.IssueCertificate": "certificate_service.proto",
    "certservice.v1.ReportCertificatesRequest.Held": "certificate_service.proto",
    "certservice.v1.Pod.uid": "certificate_service.proto",
    "google.protobuf.Timestamp": "google/protobuf/timestamp.proto",
    "grpc.reflection.v1.ServerReflection": "reflection.proto",
  };
  const asked = Object.keys(symbols)
    .map((value) => ({ case: "fileContainingSymbol", value }) as const);
  const files = (await ask(...asked)).map((response) => filesIn(response)[0]);
  assert.deepEqual(files, Object.values(symbols));
});

Deno.test("a request for an unknown file or symbol gets an error response, and the stream continues", async () => {
  const responses = await ask(
    { case: "fileByFilename", value: "nope.proto" },
    { case: "fileContainingSymbol", value: "nope.Nope" },
    { case: "fileContainingExtension", value: { containingType: "x", extensionNumber: 1 } },
    { case: "allExtensionNumbersOfType", value: "certservice.v1.Pod" },
    { case: undefined },
  );
  const codes = responses.map(({ messageResponse }) =>
    messageResponse.case === "errorResponse" ? messageResponse.value.errorCode : undefined
  );
  const { NOT_FOUND, INVALID_ARGUMENT } = status;
  assert.deepEqual(codes, [NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, INVALID_ARGUMENT]);
});
