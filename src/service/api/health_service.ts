import { type MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
  type HealthCheckResponseSchema,
} from "../../shared/gen/health_pb.ts";
import { RpcError } from "../../shared/grpc/rpc_error.ts";
import { changes, Listeners } from "../../shared/scheduler/listeners.ts";
import { type RegisteredService, registerService } from "../../shared/grpc_server/server.ts";

type Response = MessageInitShape<typeof HealthCheckResponseSchema>;

/** grpc.health.v1 for a server. Service "" is the whole server, which is not serving until `setStatus` is called. */
export class HealthService {
  readonly #serving = new Map<string, boolean>([["", false]]);
  readonly #listeners = new Listeners();

  /** Sets whether a service, given by its full name, can be used. */
  setStatus(service: string, serving: boolean): void {
    this.#serving.set(service, serving);
    this.#listeners.call();
  }

  /** The service for a server to register. */
  registered(): RegisteredService {
    return registerService(Health, {
      check: ({ service }) => Promise.resolve(this.#check(service)),
      watch: ({ service }, { signal }) => this.#watch(service, signal),
    });
  }

  #check(service: string): Response {
    if (!this.#serving.has(service)) {
      throw new RpcError(
        status.NOT_FOUND,
        `this server has no service ${JSON.stringify(service)}: ` +
          'give its full name, or "" for the whole server',
      );
    }
    return { status: this.#statusOf(service) };
  }

  async *#watch(service: string, signal: AbortSignal): AsyncGenerator<Response> {
    let last: ServingStatus | undefined;
    for await (const _ of changes((listener) => this.#listeners.add(listener), signal)) {
      const now = this.#statusOf(service);
      if (now !== last) yield { status: last = now };
    }
  }

  #statusOf(service: string): ServingStatus {
    switch (this.#serving.get(service)) {
      case true:
        return ServingStatus.SERVING;
      case false:
        return ServingStatus.NOT_SERVING;
      case undefined:
        return ServingStatus.SERVICE_UNKNOWN;
    }
  }
}
