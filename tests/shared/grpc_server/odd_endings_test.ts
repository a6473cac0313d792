import { Buffer } from "node:buffer";
import { setImmediate as turn } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { closed, gatedServer } from "../../support/gated_server.ts";
import {
  frame,
  frameFlag,
  frameType,
  grpcMessage,
  preface,
  requestHeaders,
} from "../../support/http2_frames.ts";

/** The steps of a call, in which it is broken off. */
function callOf(method: string): Uint8Array[] {
  const path = `/${CertificateService.typeName}/${method}`;
  return [
    preface,
    frame(frameType.settings, 0, 0),
    frame(frameType.headers, frameFlag.endHeaders, 1, requestHeaders(path)),
    frame(frameType.data, frameFlag.endStream, 1, grpcMessage(Buffer.alloc(0))),
  ];
}

const goaway = frame(7, 0, 0, Buffer.alloc(8));
const cancel = frame(frameType.resetStream, 0, 1, Buffer.of(0, 0, 0, 8));

const endings: Record<string, (socket: TLSSocket) => void> = {
  "destroyed": (socket) => void socket.destroy(),
  "half-closed": (socket) => void socket.end(),
  "left after a GOAWAY": (socket) => void socket.end(goaway),
  "destroyed after a RST_STREAM": (socket) => {
    socket.write(cancel);
    socket.destroy();
  },
  "ended by bytes that are no frame": (socket) => void socket.end(Buffer.alloc(64, 0xff)),
};

async function endAfter(
  socket: TLSSocket,
  { bytes, turns, end }: { bytes: Uint8Array; turns: number; end: (socket: TLSSocket) => void },
): Promise<void> {
  if (bytes.length > 0) socket.write(bytes);
  for (let n = 0; n < turns; n++) await turn();
  end(socket);
  await closed(socket);
}

for (const [ending, end] of Object.entries(endings)) {
  Deno.test(`a connection that is ${ending} at any moment of a call harms no other`, async () => {
    await using served = await gatedServer({}, {
      async *watchTrustBundle() {
        yield { certificates: [] };
        await turn();
        yield { certificates: [] };
      },
    });
    // The second and the last one are answered by grpc-js, or not at all.
    for (const method of ["GetCertificateInfo", "Unknown", "WatchTrustBundle", "Unknown\u00ff"]) {
      const steps = callOf(method);
      for (let sent = 0; sent <= steps.length; sent++) {
        const bytes = Buffer.concat(steps.slice(0, sent));
        for (const turns of [0, 1, 3]) {
          await endAfter(await served.openTls(), { bytes, turns, end });
        }
      }
      for (let n = 0; n < 20; n++) {
        const bytes = Buffer.concat(steps.slice(2));
        await endAfter(await served.openSession(), { bytes, turns: n % 5, end });
      }
    }
    await served.call();
  });
}
