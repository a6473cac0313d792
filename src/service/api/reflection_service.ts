import {
  type DescFile,
  type DescService,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "../../shared/gen/reflection_pb.ts";
import { type RegisteredService, registerService } from "../../shared/grpc_server/server.ts";
import { SymbolTable } from "./symbol_table.ts";

type Response = NonNullable<
  Exclude<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"], undefined>
>;

/** grpc.reflection.v1 for these services and for itself. */
export function reflectionService(services: readonly RegisteredService[]): RegisteredService {
  const described = [...services.map(({ desc }) => desc), ServerReflection];
  const symbols = new SymbolTable(described.map(({ file }) => file));
  return registerService(ServerReflection, {
    serverReflectionInfo: async function* (requests) {
      for await (const request of requests) {
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: respond(request.messageRequest, described, symbols),
        };
      }
    },
  });
}

function respond(
  asked: ServerReflectionRequest["messageRequest"],
  services: readonly DescService[],
  symbols: SymbolTable,
): Response {
  switch (asked.case) {
    case "listServices": {
      const service = services.map(({ typeName }) => ({ name: typeName }));
      return { case: "listServicesResponse", value: { service } };
    }
    case "fileByFilename":
      return fileResponse(symbols.fileNamed(asked.value), `file ${JSON.stringify(asked.value)}`);
    case "fileContainingSymbol":
      return fileResponse(
        symbols.fileDeclaring(asked.value),
        `symbol ${JSON.stringify(asked.value)}`,
      );
    case "fileContainingExtension":
      return notFound(`extension of ${JSON.stringify(asked.value.containingType)}`);
    case "allExtensionNumbersOfType":
      return notFound(`extensions of ${JSON.stringify(asked.value)}`);
    case undefined:
      return failed(
        status.INVALID_ARGUMENT,
        "the request contains no message_request that this server knows",
      );
  }
}

function fileResponse(file: DescFile | undefined, asked: string): Response {
  if (file === undefined) return notFound(asked);
  const fileDescriptorProto = [...withImports(file)]
    .map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function withImports(file: DescFile, found = new Set<DescFile>()): Set<DescFile> {
  found.add(file);
  for (const imported of file.dependencies) if (!found.has(imported)) withImports(imported, found);
  return found;
}

function notFound(asked: string): Response {
  return failed(status.NOT_FOUND, `this server has no ${asked}`);
}

function failed(errorCode: status, errorMessage: string): Response {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
