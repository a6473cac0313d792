import { getLogger } from "@logtape/logtape";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { Client } from "../../shared/grpc_client/client.ts";
import type { ClientIdentitySource } from "../../shared/grpc_client/client_identity.ts";
import { waitUntilAborted } from "../../shared/scheduler/abort_signals.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

const logger = getLogger(["csi-driver", "trust-bundle"]);
/** The nodes connect to a restarted service spread over this time. */
const reconnectSpreadMs = 30_000;
const reconnectLeastMs = 500;

/** What a driver does with the stream. */
export interface TrustBundleHandler {
  /**
   * The service answers (again), and its first bundle was received: what waited for it may continue. Runs beside the
   * stream, with whose end the signal is aborted. Must not reject.
   */
  onConnected(signal: AbortSignal): Promise<void>;
  /** DER certificates. */
  onBundle(certificates: readonly Uint8Array[]): Promise<void>;
  /** The stream has ended: the service may have a newer bundle than the last one received. */
  onDisconnected(): void;
}

export interface WatchOptions {
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly random: () => number;
  /** The client's identity: no stream is opened without one, and a replaced one moves it to a new connection. */
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
    const ended = new AbortController();
    let connected: Promise<void> | undefined;
    try {
      for await (const { certificates } of client.watchTrustBundle({}, { signal: either })) {
        await handler.onBundle(certificates);
        // Not awaited: the volumes receive the next bundle also while a report fails or takes long.
        connected ??= handler.onConnected(AbortSignal.any([either, ended.signal]));
        isDown = false;
      }
    } catch (error) {
      if (either.aborted) continue;
      const reason = errorMessage(error);
      // Logged once: a service that is away for hours is not logged at every attempt.
      if (!isDown) logger.warn("the service cannot be followed: {reason}", { reason });
      isDown = true;
    } finally {
      ended.abort();
      if (!moving.signal.aborted) handler.onDisconnected();
      await connected;
    }
    await options.wait(reconnectLeastMs + options.random() * reconnectSpreadMs, either);
  }
}
