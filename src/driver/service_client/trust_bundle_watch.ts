import { getLogger } from "@logtape/logtape";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { Client } from "../../shared/grpc_client/client.ts";
import type { ClientIdentitySource } from "../../shared/grpc_client/client_identity.ts";
import { waitUntilAborted } from "../../shared/scheduler/abort_signals.ts";

const logger = getLogger(["csi-driver", "trust-bundle"]);
/** A restarted service sees its nodes come back spread over this. */
const reconnectSpreadMs = 30_000;
const reconnectLeastMs = 500;

/** What a driver does with the stream. */
export interface TrustBundleHandler {
  /** The service answers (again): what waited for it may go on. */
  onConnected(): Promise<void>;
  /** DER certificates. */
  onBundle(certificates: readonly Uint8Array[]): Promise<void>;
  /** The stream has ended: the last bundle may not be the last word any more. */
  onDisconnected(): void;
}

export interface WatchOptions {
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly random: () => number;
  /** What the client shows: there is no stream before there is one, and it moves when that is replaced. */
  readonly identity?: Pick<ClientIdentitySource, "current" | "onChange"> | undefined;
}

/**
 * Follows the trust bundle until the signal is aborted. A broken stream is opened again after a pause; a replaced
 * identity moves it to the new connection at once, which is no interruption.
 */
export async function watchTrustBundle(
  client: Client<typeof CertificateService>,
  handler: TrustBundleHandler,
  options: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  let isDown = false;
  while (!signal.aborted) {
    const moving = new AbortController();
    using _following = options.identity?.onChange(() => moving.abort());
    const either = AbortSignal.any([signal, moving.signal]);
    if (options.identity?.current() === undefined && options.identity !== undefined) {
      await waitUntilAborted(either);
      continue;
    }
    try {
      for await (const certificates of openStream(client, handler, either)) {
        isDown = false;
        await handler.onBundle(certificates);
      }
    } catch (error) {
      if (either.aborted) continue;
      const reason = error instanceof Error ? error.message : String(error);
      // Logged once: a service that is away for hours is not logged at every attempt.
      if (!isDown) logger.warn("the service cannot be followed: {reason}", { reason });
      isDown = true;
    } finally {
      if (!moving.signal.aborted) handler.onDisconnected();
    }
    await options.wait(reconnectLeastMs + options.random() * reconnectSpreadMs, either);
  }
}

async function* openStream(
  client: Client<typeof CertificateService>,
  handler: TrustBundleHandler,
  signal: AbortSignal,
): AsyncGenerator<readonly Uint8Array[]> {
  let isFirst = true;
  for await (const { certificates } of client.watchTrustBundle({}, { signal })) {
    if (isFirst) await handler.onConnected();
    isFirst = false;
    yield certificates;
  }
}
