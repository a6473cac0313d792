import { type MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
  type HealthCheckResponseSchema,
} from "../../shared/gen/health_pb.ts";
import { RpcError } from "../../shared/grpc/rpc_error.ts";
import { type RegisteredService, registerService } from "../../shared/grpc_server/server.ts";

type Response = MessageInitShape<typeof HealthCheckResponseSchema>;

/** grpc.health.v1 for a server. Service "" is the server as a whole; it is not serving until `setStatus` says so. */
export class HealthService {
  readonly #serving = new Map<string, boolean>([["", false]]);
  readonly #waiting = new Set<() => void>();

  /** Sets whether a service, by its full name, can be used. */
  setStatus(service: string, serving: boolean): void {
    this.#serving.set(service, serving);
    for (const wake of this.#waiting) wake();
  }

  /** What a server registers. */
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
        `this server has no service ${
          JSON.stringify(service)
        }: give a full name, or none for the whole`,
      );
    }
    return { status: this.#statusOf(service) };
  }

  async *#watch(service: string, signal: AbortSignal): AsyncGenerator<Response> {
    let last: ServingStatus | undefined;
    while (!signal.aborted) {
      const now = this.#statusOf(service);
      if (now === last) await this.#change(signal);
      else yield { status: last = now };
    }
  }

  /** Resolves at the next change or when the signal is aborted; nothing of a watch that ended stays behind. */
  async #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    signal.addEventListener("abort", () => resolve());
    await promise;
    this.#waiting.delete(resolve);
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
