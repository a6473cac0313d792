import type { ApiCredentials } from "../../../src/service/kubernetes/api_credentials.ts";
import { ApiClient } from "../../../src/service/kubernetes/api_client.ts";
import { shippedPermissions } from "../../../src/service/kubernetes/permissions.ts";
import { ApiServer } from "../../../scripts/support/api_server.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

export const never = new AbortController().signal;
export const secret = { namespace: "csi-cert-system", name: "csi-ca-secret" };
export const document = { namespace: "csi-cert-system", name: "csi-cert-denials" };
export const driver = { namespace: "csi-cert-system", name: "csi-cert-driver" };

/** The service's own account at a test's API server. */
export function accessTo(server: ApiServer, changed: Partial<ApiCredentials> = {}): ApiCredentials {
  return {
    server: server.url,
    caPem: () => Promise.resolve(server.authorityPem),
    token: () => Promise.resolve("service-token"),
    identity: () => Promise.resolve(undefined),
    ...changed,
  };
}

/** An API server with the rules that the manifests ship, and a connection to it, on a clock that stands still. */
export async function openApi(
  options: { plaintext?: boolean; hostname?: string; access?: Partial<ApiCredentials> } = {},
) {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await ApiServer.start(options));
  server.rules = shippedPermissions;
  const clock = new FakeClock(Temporal.Now.instant());
  const connection = stack.use(new ApiClient(accessTo(server, options.access), { clock }));
  const kept = stack.move();
  return { server, clock, connection, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Waits for I/O and then advances the clock by a second, until the condition holds; at most a minute. */
export async function pass(clock: FakeClock, condition: () => boolean): Promise<void> {
  for (let seconds = 0; seconds < 60; seconds++) {
    try {
      return await clock.until(condition, 2_000);
    } catch {
      await clock.advance({ seconds: 1 });
    }
  }
  throw new Error(`still not so after a minute: ${condition}`);
}

/** The values that an iteration has yielded so far; it continues until it is disposed. */
export class Listening<T> implements AsyncDisposable {
  readonly seen: T[] = [];
  readonly #leaving = new AbortController();
  readonly #ended: Promise<void>;

  constructor(follow: (signal: AbortSignal) => AsyncIterable<T>) {
    this.#ended = this.#listen(follow(this.#leaving.signal));
  }

  async #listen(iteration: AsyncIterable<T>): Promise<void> {
    for await (const value of iteration) this.seen.push(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaving.abort();
    await this.#ended;
  }
}
