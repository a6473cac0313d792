import type { RpcError } from "../grpc/rpc_error.ts";

/** One call that a server is answering; disposed when its answer is settled. */
export interface ActiveCall extends Disposable {
  readonly signal: AbortSignal;
  abort(reason: RpcError): void;
}

/** The calls a server is answering: what stopping it waits for and, at last, aborts. */
export class ActiveCalls {
  readonly #calls = new Map<ActiveCall, { streaming: boolean }>();
  #stopping: RpcError | undefined;
  #completed = Promise.withResolvers<void>();

  open(streaming: boolean): ActiveCall {
    const controller = new AbortController();
    const call: ActiveCall = {
      signal: controller.signal,
      abort: (reason) => {
        if (this.#calls.has(call)) controller.abort(reason);
      },
      [Symbol.dispose]: () => {
        this.#calls.delete(call);
        if (this.#calls.size === 0) this.#completed.resolve();
      },
    };
    this.#calls.set(call, { streaming });
    if (this.#stopping !== undefined) call.abort(this.#stopping);
    return call;
  }

  /**
   * Aborts the calls that are opened from now on, and the streams: a stream may never end, and then
   * the server would wait for it for ever.
   */
  rejectNewCalls(reason: RpcError): void {
    this.#stopping = reason;
    for (const [call, { streaming }] of this.#calls) if (streaming) call.abort(reason);
  }

  abortAll(reason: RpcError): void {
    for (const call of this.#calls.keys()) call.abort(reason);
  }

  /** Resolves when no call is open. */
  async allCompleted(): Promise<void> {
    while (this.#calls.size > 0) {
      this.#completed = Promise.withResolvers();
      await this.#completed.promise;
    }
  }
}
