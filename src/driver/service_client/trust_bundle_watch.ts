import { getLogger } from "@logtape/logtape";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { Client } from "../../shared/grpc_client/client.ts";

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

/** Follows the trust bundle until the signal is aborted; a broken stream is taken up again. */
export async function watchTrustBundle(
  client: Client<typeof CertificateService>,
  handler: TrustBundleHandler,
  options: { wait: (ms: number, signal: AbortSignal) => Promise<void>; random: () => number },
  signal: AbortSignal,
): Promise<void> {
  let isDown = false;
  while (!signal.aborted) {
    try {
      let first = true;
      for await (const { certificates } of client.watchTrustBundle({}, { signal })) {
        if (first) await handler.onConnected();
        first = isDown = false;
        await handler.onBundle(certificates);
      }
    } catch (error) {
      if (signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      // Told once: a service that is away for hours is not told of at every attempt.
      if (!isDown) logger.warn("the service cannot be followed: {reason}", { reason });
      isDown = true;
    } finally {
      handler.onDisconnected();
    }
    await options.wait(reconnectLeastMs + options.random() * reconnectSpreadMs, signal);
  }
}
