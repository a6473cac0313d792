import type { DescService } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { type RegisteredService, registerService } from "../../src/shared/grpc_server/server.ts";
import type { ServiceImplementation } from "../../src/shared/grpc/service_definition.ts";

/** A service of which a test implements only the methods that it needs. */
export function stubService<S extends DescService>(
  desc: S,
  methods: Partial<ServiceImplementation<S>>,
): RegisteredService {
  const missing = () => {
    throw new RpcError(status.UNIMPLEMENTED, "the test does not answer this");
  };
  const all = Object.fromEntries(desc.methods.map(({ localName }) => [localName, missing]));
  return registerService(desc, { ...all, ...methods } as ServiceImplementation<S>);
}
